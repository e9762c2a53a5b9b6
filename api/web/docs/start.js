// Swagger UI on this server's own document. A key is forgotten with the tab, and nobody else is asked anything.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});

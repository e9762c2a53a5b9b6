/** One app as this tab knows it. All that is asked and said of it goes through its own client, whatever is open then. */

import { client } from "./api.js";
import { Concepts } from "./concepts.js";
import { Labels } from "./labels.js";
import { Pictures } from "./pictures.js";
import { Upload } from "./upload.js";

export class App {
  /** record: {id, name, default_workflow_id, ...} as the server answers it; admin: whether the key is for all apps. */
  constructor(record, key, admin) {
    this.id = record.id;
    this.record = record;
    this.client = client(key, admin ? record.id : null);
    this.pictures = new Pictures(this.client);
    this.concepts = new Concepts(this.client);
    this.labels = new Labels(this);
    this.upload = new Upload(this);
  }

  get name() {
    return this.record.name;
  }

  /** Whether something is not on the server yet. */
  get busy() {
    return this.labels.busy || this.upload.progress().waiting > 0;
  }
}

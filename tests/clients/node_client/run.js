// Runs every case against the server named in the first argument and prints the report as JSON.
'use strict';

const assert = require('assert');
const fs = require('fs');
const http = require('http');
const path = require('path');
const Clarifai = require('clarifai');

const world = JSON.parse(process.argv[2]);
const CLASSES = ['App', 'Input', 'Inputs', 'Concepts', 'Model', 'Models', 'Workflow', 'Workflows'];
const SOLUTIONS = ['Moderation'];
const KINDS = ['stripes', 'discs', 'checks'];
const cases = {};
const called = new Set();

function watch() {
  const methods = [];
  const files = CLASSES.map((name) => [name, name]).concat(SOLUTIONS.map((name) => [name, `solutions/${name}`]));
  for (const [name, file] of files) {
    const loaded = require(`clarifai/dist/${file}`);
    const prototype = (loaded.default || loaded).prototype;
    for (const method of Object.getOwnPropertyNames(prototype)) {
      if (method === 'constructor' || method.startsWith('_') || typeof prototype[method] !== 'function') continue;
      const original = prototype[method];
      methods.push(`${name}.${method}`);
      prototype[method] = function (...given) {
        called.add(`${name}.${method}`);
        return original.apply(this, given);
      };
    }
  }
  return methods.sort();
}

function post(where, body, key) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${world.server}/v2/${where}`, {
      method: 'POST',
      headers: { Authorization: `Key ${key}`, 'Content-Type': 'application/json' },
    }, (answer) => {
      let text = '';
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => (answer.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(text))));
    });
    request.on('error', reject);
    request.end(JSON.stringify(body));
  });
}

let apps = 0;

async function newKey() {
  const name = `node-${apps++}`;
  const made = await post('users/me/apps', { apps: [{ name, default_workflow_id: 'general-fast' }] }, world.admin);
  const { id } = made.apps[0];
  const keys = { keys: [{ description: '', scopes: ['All'], apps: [{ id, user_id: 'me' }] }] };
  return { id, api: (await post('users/me/keys', keys, world.admin)).keys[0].id };
}

async function newApp(options = {}) {
  const { id, api } = await newKey();
  return new Clarifai.App({ apiKey: api, apiEndpoint: world.server, ...(options.named ? { userId: 'me', appId: id } : {}) });
}

const url = (kind, seed) => `${world.pictures}/${kind}-${seed}.png`;
const base64 = (kind, seed) => fs.readFileSync(path.join(world.folder, `${kind}-${seed}.png`)).toString('base64');
const values = (output) => Object.fromEntries(output.data.concepts.map((one) => [one.id, one.value]));
const best = (output) => output.data.concepts[0].id;
const ids = (things) => Array.from(things, (one) => one.id);
const labels = (input) => Object.fromEntries(Array.from(input.rawData.data.concepts || [], (one) => [one.id, one.value]));

async function refused(promise, status, code) {
  let error;
  try {
    await promise;
  } catch (caught) {
    error = caught;
  }
  assert(error, 'nothing was refused');
  const answer = error.response || error;
  assert.strictEqual(answer.status, status, JSON.stringify(answer.data));
  assert.strictEqual(answer.data.status.code, code);
}

// Waits as scripts do, until nothing is left to process.
async function settle(app) {
  while ((await app.inputs.getStatus()).counts.to_process) {
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

async function taught(options) {
  const app = await newApp(options);
  const inputs = [];
  for (const [place, kind] of KINDS.entries()) {
    for (let seed = 0; seed < 3; seed++) {
      inputs.push({
        url: url(kind, seed),
        id: `${kind}-${seed}`,
        concepts: [{ id: kind, value: true }, { id: KINDS[(place + 1) % 3], value: false }],
        metadata: { kind, seed },
        geo: { latitude: seed, longitude: 10 * place },
      });
    }
  }
  await app.inputs.create(inputs);
  await settle(app);
  await app.models.create('kinds', KINDS.map((id) => ({ id })));
  return app;
}

let shared;
const gallery = () => (shared = shared || taught());

const CASES = {
  async 'inputs.create, by url and base64'() {
    const app = await newApp();
    const made = await app.inputs.create([{ url: url('discs', 0), id: 'a' }, { base64: base64('discs', 1), id: 'b' }]);
    assert.deepStrictEqual(ids(made), ['a', 'b']);
    assert.strictEqual(made[0].imageUrl, url('discs', 0));
    assert(made[1].imageUrl.startsWith(world.server));
    await refused(app.inputs.create({ url: url('discs', 0) }), 400, 10020);
    await app.inputs.create({ url: url('discs', 0), allowDuplicateUrl: true });
  },
  async 'inputs.list, get and getStatus'() {
    const app = await gallery();
    assert.strictEqual((await app.inputs.list({ page: 1, perPage: 4 })).length, 4);
    assert.strictEqual((await app.inputs.list({ page: 9, perPage: 4 })).length, 0);
    const one = await app.inputs.get('discs-1');
    assert.deepStrictEqual(labels(one), { discs: 1, checks: 0 });
    assert.deepStrictEqual(one.metadata, { kind: 'discs', seed: 1 });
    assert.deepStrictEqual((await app.inputs.getStatus()).counts.processed, 9);
    await refused(app.inputs.get('nobody'), 404, 30102);
  },
  async 'inputs: concepts merged, deleted and overwritten, metadata updated'() {
    const app = await newApp();
    await app.inputs.create({ url: url('discs', 0), id: 'a', concepts: [{ id: 'x' }] });
    assert.deepStrictEqual(labels((await app.inputs.mergeConcepts({ id: 'a', concepts: [{ id: 'y' }] }))[0]), { x: 1, y: 1 });
    assert.deepStrictEqual(labels((await app.inputs.deleteConcepts({ id: 'a', concepts: [{ id: 'x' }] }))[0]), { y: 1 });
    assert.deepStrictEqual(labels((await app.inputs.overwriteConcepts({ id: 'a', concepts: [{ id: 'z', value: false }] }))[0]), { z: 0 });
    assert.deepStrictEqual((await app.inputs.update({ id: 'a', metadata: { n: 1 } }))[0].metadata, { n: 1 });
  },
  async 'inputs.delete, one, some and all'() {
    const app = await newApp();
    await app.inputs.create([0, 1, 2, 3].map((seed) => ({ url: url('discs', seed), id: `${seed}` })));
    await app.inputs.delete('0');
    await app.inputs.delete(['1', '2']);
    assert.deepStrictEqual(ids(await app.inputs.list()), ['3']);
    await app.inputs.delete();
    assert.strictEqual((await app.inputs.list()).length, 0);
  },
  async 'inputs.search, by picture, concept, metadata and place'() {
    const app = await gallery();
    const found = async (query) => (await app.inputs.search(query)).hits.map((hit) => hit.input.id);
    assert.strictEqual((await found({ input: { type: 'output', url: url('discs', 1) } }))[0], 'discs-1');
    assert.strictEqual((await found({ input: { type: 'output', base64: base64('checks', 2) } }))[0], 'checks-2');
    assert.strictEqual((await found({ input: { type: 'output', id: 'stripes-0' } }))[0], 'stripes-0');
    assert((await found({ concept: { type: 'output', id: 'stripes' } }))[0].startsWith('stripes'));
    assert.deepStrictEqual(await found({ concept: { type: 'input', id: 'discs' } }), ['discs-0', 'discs-1', 'discs-2']);
    assert.deepStrictEqual(await found({ input: { type: 'input', metadata: { kind: 'discs', seed: 2 } } }), ['discs-2']);
    const geo = { latitude: 0, longitude: 10, type: 'withinKilometers', value: 20 };
    assert.deepStrictEqual(await found({ input: { geo } }), ['discs-0']);
    assert.deepStrictEqual(await found([{ concept: { type: 'input', id: 'discs' } }, { input: { metadata: { seed: 1 } } }]), ['discs-1']);
  },
  async 'inputs.searchFeedback'() {
    const app = await gallery();
    const { id } = await app.inputs.search({ input: { type: 'output', id: 'discs-0' } });
    assert.strictEqual((await app.inputs.searchFeedback('discs-1', id, 'user', 'session')).status.code, 10000);
  },
  async 'concepts: created, listed, found, renamed'() {
    const app = await newApp();
    await app.concepts.create([{ id: 'dog' }, { id: 'dogfish', name: 'dogfish' }, { id: '猫' }]);
    assert.deepStrictEqual(ids(await app.concepts.list()), ['dog', 'dogfish', '猫']);
    assert.strictEqual((await app.concepts.get('猫')).id, '猫');
    assert.deepStrictEqual(ids(await app.concepts.search('dog*')), ['dog', 'dogfish']);
    assert.strictEqual((await app.concepts.update({ id: 'dog', name: 'hound' }))[0].name, 'hound');
    await refused(app.concepts.create('dog'), 400, 40003);
  },
  async 'models: created, listed, found, changed, deleted'() {
    const app = await newApp();
    const made = await app.models.create('a/b c', ['x', 'y'], { conceptsMutuallyExclusive: true, closedEnvironment: true });
    assert.strictEqual(made.id, 'a/b c');
    assert(ids(await app.models.list()).includes('a/b c'));
    assert.strictEqual((await app.models.get('a/b c')).rawData.output_info.output_config.closed_environment, true);
    assert.strictEqual((await app.models.search('a*'))[0].id, 'a/b c');
    const concepts = async () => ids((await app.models.getOutputInfo('a/b c')).rawData.output_info.data.concepts);
    await app.models.mergeConcepts({ id: 'a/b c', concepts: [{ id: 'z' }] });
    assert.deepStrictEqual(await concepts(), ['x', 'y', 'z']);
    await app.models.deleteConcepts({ id: 'a/b c', concepts: [{ id: 'x' }] });
    assert.deepStrictEqual(await concepts(), ['y', 'z']);
    await app.models.overwriteConcepts({ id: 'a/b c', concepts: [{ id: 'q' }] });
    assert.deepStrictEqual(await concepts(), ['q']);
    assert.strictEqual((await app.models.update({ id: 'a/b c', name: 'new' }))[0].name, 'new');
    await app.models.delete('a/b c');
    await refused(app.models.get('a/b c'), 404, 21200);
  },
  async 'a model changes its own concepts'() {
    const app = await newApp();
    let model = await app.models.create('m', ['x']);
    const concepts = (one) => ids(one.rawData.output_info.data.concepts);
    assert.deepStrictEqual(concepts(await model.mergeConcepts([{ id: 'y' }])), ['x', 'y']);
    assert.deepStrictEqual(concepts(await model.deleteConcepts([{ id: 'x' }])), ['y']);
    assert.deepStrictEqual(concepts(await model.overwriteConcepts([{ id: 'z' }])), ['z']);
    assert.strictEqual((await model.update({ name: 'other' })).name, 'other');
  },
  async 'predictions, of url, base64 and many'() {
    const app = await gallery();
    assert.strictEqual(best((await app.models.predict('kinds', url('discs', 5))).outputs[0]), 'discs');
    assert.strictEqual(best((await app.models.predict('kinds', { base64: base64('stripes', 5) })).outputs[0]), 'stripes');
    const many = KINDS.map((kind) => ({ url: url(kind, 4), id: kind }));
    const { outputs } = await app.models.predict('kinds', many, { maxConcepts: 1 });
    assert.deepStrictEqual(outputs.map(best), KINDS);
    assert.deepStrictEqual(outputs.map((output) => output.input.id), KINDS);
    const model = await app.models.get('kinds');
    const [chosen] = (await model.predict(url('checks', 5), { selectConcepts: [{ id: 'checks' }] })).outputs;
    assert.deepStrictEqual(Object.keys(values(chosen)), ['checks']);
  },
  async 'a label changes the next prediction, without training'() {
    const app = await taught();
    const value = async () => values((await app.models.predict('kinds', url('discs', 5))).outputs[0]).stripes;
    const before = await value();
    await app.inputs.create({ url: url('discs', 4), concepts: [{ id: 'stripes' }] });
    await settle(app);
    assert(await value() > before);
  },
  async 'training freezes a version'() {
    const app = await taught();
    const model = await app.models.train('kinds', true);
    assert.strictEqual(model.rawData.model_version.status.code, 21100);
    const version = model.rawData.model_version.id;
    assert.strictEqual((await model.train()).rawData.model_version.status.code, 21100);
    assert.strictEqual((await app.models.getVersion('kinds', version)).model_version.id, version);
    assert.strictEqual((await app.models.getVersions('kinds')).model_versions.length, 3);
    assert.strictEqual((await model.getVersion(version)).model_version.id, version);
    assert.strictEqual((await model.getVersions()).model_versions.length, 3);
    assert.strictEqual((await model.getInputs()).inputs.length, 9);
    assert.strictEqual((await model.getOutputInfo()).rawData.model_version.id.length, 32);
    assert.strictEqual((await model.runModelEval()).id, model.versionId);
    await app.models.delete('kinds', version);
    await refused(app.models.getVersion('kinds', version), 404, 21200);
  },
  async 'feedback on a model'() {
    const app = await gallery();
    const info = { eventType: 'annotation', outputId: 'o', endUserId: 'u', sessionId: 's' };
    const given = { id: 'any', data: { concepts: [{ id: 'discs', value: true }] }, info };
    assert.strictEqual((await app.models.feedback('kinds', url('discs', 5), given)).status.code, 10000);
    const model = await app.models.get('kinds');
    assert.strictEqual((await model.feedback(url('discs', 5), given)).status.code, 10000);
  },
  async 'public models'() {
    const app = await gallery();
    const [general] = (await app.models.predict(Clarifai.GENERAL_MODEL, url('discs', 5), { maxConcepts: 3 })).outputs;
    assert.strictEqual(general.data.concepts.length, 3);
    const [colours] = (await app.models.predict(Clarifai.COLOR_MODEL, url('discs', 5))).outputs;
    assert(Math.abs(colours.data.colors.reduce((sum, one) => sum + one.value, 0) - 1) < 1e-6);
    assert.strictEqual((await app.models.initModel({ name: 'kinds' })).id, 'kinds');
  },
  async 'workflows'() {
    const app = await taught();
    const model = await app.models.get('kinds');
    const config = { modelId: 'kinds', modelVersionId: model.rawData.model_version.id };
    assert.strictEqual(await app.workflows.create('one', config), 'one');
    assert.strictEqual(await app.workflow.create('two', config), 'two');
    assert.deepStrictEqual(ids(await app.workflows.list()), ['one', 'two']);
    const { results } = await app.workflow.predict('one', [{ url: url('discs', 5) }], { maxConcepts: 1 });
    assert.strictEqual(best(results[0].outputs[0]), 'discs');
    assert.strictEqual(results[0].outputs[0].model.model_version.id, config.modelVersionId);
    await app.workflows.delete('one');
    await app.workflow.delete('two', config);
    assert.strictEqual((await app.workflows.list()).length, 0);
  },
  async 'a client id and secret'() {
    const { api } = await newKey();
    const app = new Clarifai.App('any id', api, { apiEndpoint: world.server });
    assert.strictEqual((await app.inputs.list()).length, 0);
    const token = await app.getToken();
    assert(app.setToken(token));
    await refused(new Clarifai.App('any id', 'no key', { apiEndpoint: world.server }).inputs.list(), 401, 11009);
  },
  async 'paths with the user and the app in them'() {
    const app = await taught({ named: true });
    assert.strictEqual(best((await app.models.predict('kinds', url('discs', 5))).outputs[0]), 'discs');
  },
};

async function main() {
  const methods = watch();
  for (const [name, check] of Object.entries(CASES)) {
    try {
      await check();
      cases[name] = 'ok';
    } catch (error) {
      const answer = error.response || error;
      cases[name] = `${error.stack || ''}\n${answer.status || ''} ${JSON.stringify(answer.data || '').slice(0, 1500)}`;
    }
  }
  process.stdout.write(JSON.stringify({ cases, methods, called: [...called].sort() }), () => process.exit(0));
}

main();

// @kubernetes/client-node, against the cluster of $KUBECONFIG.
//
// Usage: node javascript_client.mjs <modules> <image>

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { PassThrough, Writable } from 'node:stream';

const [modules, image] = process.argv.slice(2);
const k8s = createRequire(`${modules}/`)('@kubernetes/client-node');
// This client has other names for what JavaScript could not call so, and drops the real ones.
const renamed = (text) => text.replaceAll('"default"', '"_default"').replaceAll('"x-kubernetes-validations"', '"x_kubernetes_validations"');
const definition = JSON.parse(renamed(fs.readFileSync(new URL('crontabs.json', import.meta.url), 'utf8')));
const group = 'clients.example.com';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);

const step = (text) => console.log('javascript:', text);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function fails(code, reason, promise) {
    const error = await promise.then(() => assert.fail(`nothing failed; wanted ${code}`), (error) => error);
    const body = typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
    assert.deepEqual([error.code, body?.reason], [code, reason], error.message);
    return body;
}

async function until(what, get, holds, seconds = 60) {
    for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(100)) {
        const found = await get().catch((error) => {
            if (error.code !== 404) throw error;
        });
        if (found !== undefined && holds(found)) return found;
    }
    assert.fail(`waited in vain until ${what}`);
}

class Text extends Writable {
    text = '';
    _write(chunk, _, done) {
        this.text += chunk;
        done();
    }
}

async function objects(namespace) {
    step('create, read, replace, patch, list, delete');
    const body = { metadata: { name: 'one' }, data: { a: '1' } };
    const made = await core.createNamespacedConfigMap({ namespace, body });
    await fails(409, 'AlreadyExists', core.createNamespacedConfigMap({ namespace, body }));
    const replaced = await core.replaceNamespacedConfigMap({ namespace, name: 'one', body: { ...made, data: { a: '2' } } });
    assert.equal(replaced.data.a, '2');
    await fails(409, 'Conflict', core.replaceNamespacedConfigMap({ namespace, name: 'one', body: made }));
    const patch = [{ op: 'add', path: '/data/b', value: '3' }];
    const patched = await core.patchNamespacedConfigMap({ namespace, name: 'one', body: patch });
    assert.deepEqual(patched.data, { a: '2', b: '3' });
    const all = await core.listNamespacedConfigMap({ namespace, fieldSelector: 'metadata.name=one' });
    assert.equal(all.items.length, 1);
    await core.deleteNamespacedConfigMap({ namespace, name: 'one' });
    await fails(404, 'NotFound', core.readNamespacedConfigMap({ namespace, name: 'one' }));
}

async function applying(namespace) {
    step('strategic merge and server-side apply by kind');
    const any = k8s.KubernetesObjectApi.makeApiClient(config);
    const service = {
        apiVersion: 'v1', kind: 'Service', metadata: { name: 's', namespace },
        spec: { selector: { a: 'b' }, ports: [{ name: 'http', port: 80 }] },
    };
    await any.patch(service, undefined, undefined, 'js', undefined, k8s.PatchStrategy.ServerSideApply);
    const more = { ...service, spec: { ports: [{ name: 'https', port: 443 }] } };
    const merged = await any.patch(more, undefined, undefined, undefined, undefined, k8s.PatchStrategy.StrategicMergePatch);
    assert.deepEqual(merged.spec.ports.map((port) => port.port).sort(), [443, 80]);
    await any.delete(service);
}

async function informing(namespace) {
    step('an informer sees what is there, what comes and what goes');
    const seen = [];
    await core.createNamespacedSecret({ namespace, body: { metadata: { name: 'there' } } });
    const list = () => core.listNamespacedSecret({ namespace });
    const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/secrets`, list);
    for (const what of ['add', 'update', 'delete']) informer.on(what, (o) => seen.push(`${what} ${o.metadata.name}`));
    informer.on('error', (error) => seen.push(`error ${error}`));
    await informer.start();
    await core.createNamespacedSecret({ namespace, body: { metadata: { name: 'comes' } } });
    await core.deleteNamespacedSecret({ namespace, name: 'there' });
    await until('it has seen all', async () => seen, () => seen.length >= 3);
    await informer.stop();
    // Stopping tells of itself as an error.
    assert.deepEqual(seen.slice(0, 3).sort(), ['add comes', 'add there', 'delete there']);
}

async function pods(namespace) {
    step('a pod: logs and exec');
    const container = { name: 'c', image, imagePullPolicy: 'Never', command: ['sh', '-c', 'echo started; sleep 3600'] };
    const body = { metadata: { name: 'p' }, spec: { terminationGracePeriodSeconds: 0, containers: [container] } };
    await core.createNamespacedPod({ namespace, body });
    const read = () => core.readNamespacedPod({ namespace, name: 'p' });
    await until('it runs', read, (pod) => pod.status.phase === 'Running');
    await until('it printed', () => core.readNamespacedPodLog({ namespace, name: 'p' }), (log) => log === 'started\n');

    const [stdin, stdout, stderr] = [new PassThrough(), new Text(), new Text()];
    const status = new Promise((done) => {
        const command = ['sh', '-c', 'read word; echo got $word; echo bad >&2; exit 3'];
        new k8s.Exec(config).exec(namespace, 'p', 'c', command, stdout, stderr, stdin, false, done);
    });
    stdin.write('this\n');
    const ended = await status;
    assert.deepEqual([stdout.text, stderr.text], ['got this\n', 'bad\n']);
    assert.equal(ended.details.causes[0].message, '3');
    await core.deleteNamespacedPod({ namespace, name: 'p' });
    await until('it is gone', () => core.listNamespacedPod({ namespace }), (all) => all.items.length === 0);
}

async function custom(namespace) {
    step('a CustomResourceDefinition and its objects');
    const definitions = config.makeApiClient(k8s.ApiextensionsV1Api);
    const objects = config.makeApiClient(k8s.CustomObjectsApi);
    const name = `jstabs.${group}`;
    const body = { ...definition, metadata: { name } };
    body.spec.names = { plural: 'jstabs', singular: 'jstab', kind: 'JsTab' };
    await definitions.createCustomResourceDefinition({ body });
    const established = (crd) => crd.status?.conditions?.some((c) => c.type === 'Established' && c.status === 'True');
    await until('it is established', () => definitions.readCustomResourceDefinition({ name }), established);

    const where = { group, version: 'v1', namespace, plural: 'jstabs' };
    const tab = { apiVersion: `${group}/v1`, kind: 'JsTab', metadata: { name: 'x' }, spec: { cronSpec: '* * * * *' } };
    const seen = [];
    const watch = await new k8s.Watch(config).watch(
        `/apis/${group}/v1/namespaces/${namespace}/jstabs`, {}, (type, o) => seen.push(`${type} ${o.metadata.name}`), () => {});
    const made = await objects.createNamespacedCustomObject({ ...where, body: tab });
    assert.equal(made.spec.replicas, 1);
    await fails(422, 'Invalid', objects.createNamespacedCustomObject({ ...where, body: { ...tab, spec: {} } }));
    await objects.deleteNamespacedCustomObject({ ...where, name: 'x' });
    await until('the watch has seen it', async () => seen, () => seen.length >= 2);
    assert.deepEqual(seen, ['ADDED x', 'DELETED x']);
    watch.abort();
    await definitions.deleteCustomResourceDefinition({ name });
}

const namespace = (await core.createNamespace({ body: { metadata: { generateName: 'javascript-' } } })).metadata.name;
await until('the service account is there', () => core.readNamespacedServiceAccount({ namespace, name: 'default' }), () => true);
await objects(namespace);
await applying(namespace);
await informing(namespace);
await pods(namespace);
await custom(namespace);
await core.deleteNamespace({ name: namespace });
step('all done');
process.exit(0);

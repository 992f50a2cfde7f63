// A client of gRPC for Node.js, made from the .proto files at run time. It is
// told in its environment where the server is, says what it does, and ends with 0
// if all went well.
import assert from "node:assert/strict";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const { ADDR, PASSWORD, ENV, LIMITS } = process.env;

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const services = ["identity", "release", "data", "instance"].map((name) => `setpoint/v1/${name}_service.proto`);
const { setpoint, google } = grpc.loadPackageDefinition(
  protoLoader.loadSync([...services, "google-rpc.proto"], {
    includeDirs: [here("../../../api/proto"), here(".")],
    defaults: true,
    enums: String,
    longs: Number,
    oneofs: true,
  }),
);
const secure = grpc.credentials.createSsl();

// client makes a client of a service, whose calls return promises.
function client(Service) {
  const stub = new Service(ADDR, secure);
  for (const { originalName, requestStream, responseStream } of Object.values(Service.service)) {
    if (!requestStream && !responseStream) stub[originalName] = promisify(stub[originalName]).bind(stub);
  }
  return stub;
}

const identities = client(setpoint.v1.IdentityService);
const releases = client(setpoint.v1.ReleaseService);
const data = client(setpoint.v1.DataService);
const instances = client(setpoint.v1.InstanceService);

console.log("In by name and password, and from then on with the token.");
const nobody = await identities.whoAmI({}).catch((err) => err);
assert.equal(nobody.code, grpc.status.UNAUTHENTICATED);
const session = await identities.login({ username: "admin", password: PASSWORD });
const known = new grpc.Metadata();
known.set("authorization", `Bearer ${session.secret}`);
assert.equal((await identities.whoAmI({}, known)).user, "admin");

// publish releases a content of the config, and returns its version.
async function publish(content) {
  const answer = await releases.publish({ tenant: "acme", items: [{ path: LIMITS, content: Buffer.from(content) }] }, known);
  return answer.changeSet.items[0].version;
}

console.log("It releases, and reads what it has released.");
assert.equal(await publish('{"n": 2}'), 2);
const read = await data.readConfig({ path: LIMITS }, known);
assert.equal(read.config.content.toString(), '{"n": 2}');
assert.equal(read.config.version, 2);
const same = await data.readConfig({ path: LIMITS, heldDigest: read.config.digest }, known);
assert.equal(same.unchanged, true);

console.log("What is wrong with a request is in the details of the status.");
const refused = await publish('{\n  "n": oops\n}').catch((err) => err);
assert.equal(refused.code, grpc.status.INVALID_ARGUMENT);
const opened = google.rpc.Status.deserialize(refused.metadata.get("grpc-status-details-bin")[0]);
assert.equal(opened.code, refused.code);
assert.equal(opened.message, refused.details);
const details = new Map(opened.details.map((any) => [any.type_url.split("/").pop(), any.value]));
const info = google.rpc.ErrorInfo.deserialize(details.get("google.rpc.ErrorInfo"));
assert.equal(info.reason, "invalid");
assert.equal(info.domain, "setpoint.dev");
const detail = setpoint.v1.ErrorDetail.deserialize(details.get("setpoint.v1.ErrorDetail"));
assert.equal(detail.kind, "ERROR_KIND_INVALID");
assert.equal(detail.path, LIMITS);
assert.equal(detail.problems[0].line, 2);

// watch opens a watch and subscribes to the env; next() is what it is told next.
async function watch(subscription) {
  const stream = data.watch(known);
  const messages = stream[Symbol.asyncIterator]();
  const next = async () => (await messages.next()).value;
  stream.write({ hello: { client: { id: "pod-1", labels: { region: "eu" } } } });
  assert.equal((await next()).event, "welcome");
  stream.write({ subscribe: { patterns: [ENV], ...subscription } });
  return { stream, next };
}

console.log("It watches.");
const first = await watch({ id: 1 });
const snapshot = await first.next();
assert.equal(snapshot.subscriptionId, 1);
assert.equal(snapshot.changes.reset, true);
assert.deepEqual(snapshot.changes.served.map((c) => [c.path, c.version]), [[LIMITS, 2]]);
assert.equal(await publish('{"n": 3}'), 3);
let heard = await first.next();
if (heard.changes.served.length === 0) heard = await first.next(); // the first said only that all is current
assert.equal(heard.changes.served[0].content.toString(), '{"n": 3}');

console.log("It says what became of it, and the server knows.");
first.stream.write({ acknowledge: { reports: [{ path: LIMITS, version: 3, state: "ACK_STATE_APPLIED" }] } });
first.stream.write({ acknowledge: { reports: [{ path: LIMITS, version: 0, state: "ACK_STATE_APPLIED" }] } });
const wrong = await first.next(); // in order: the first of the two is noted by now
assert.equal(wrong.event, "reportsRefused");
assert.equal(wrong.reportsRefused.error.kind, "ERROR_KIND_INVALID");
const { instances: held } = await instances.listInstances({ path: LIMITS }, known);
assert.deepEqual(held.map((i) => [i.id, i.labels.region, i.protocol, i.holds[0].applied]), [["pod-1", "eu", "grpc", 3]]);

console.log("It goes away without a word, and comes back for what it has missed.");
const gone = once(first.stream, "error");
first.stream.cancel();
assert.equal((await gone)[0].code, grpc.status.CANCELLED);
assert.equal(await publish('{"n": 4}'), 4);
const second = await watch({ id: 2, after: heard.changes.revision });
const missed = await second.next();
assert.equal(missed.changes.reset, false);
assert.deepEqual(missed.changes.served.map((c) => [c.version, c.content.toString()]), [[4, '{"n": 4}']]);
second.stream.on("error", () => {});
second.stream.cancel();

for (const c of [identities, releases, data, instances]) c.close();

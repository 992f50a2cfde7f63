// A client of GraphQL for Node.js, over WebSocket (graphql-transport-ws). It is
// told in its environment where the server is, says what it does, and ends with 0
// if all went well.
import assert from "node:assert/strict";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const { ADDR, TOKEN, ENV, LIMITS } = process.env;

let socket; // of the connection that was made last
const connect = (token, retryAttempts) =>
  createClient({
    url: `wss://${ADDR}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts,
    retryWait: async () => {},
    connectionParams: { authorization: `Bearer ${token}`, instance: "pod-2" },
    on: { connected: (made) => (socket = made) },
  });
const client = connect(TOKEN, 1);

// ask does an operation that has one answer.
async function ask(query, variables) {
  for await (const answer of client.iterate({ query, variables })) return answer;
}

// publish releases a content of the config, and returns the answer.
const publish = (content) =>
  ask("mutation ($input: PublishInput!) { publish(input: $input) { revision items { path version } } }", {
    input: { tenant: "acme", items: [{ path: LIMITS, content }] },
  });

console.log("It releases, and reads what it has released.");
const published = await publish('{"n": 2}');
assert.deepEqual(published.data.publish.items, [{ path: LIMITS, version: 2 }]);
const read = await ask(
  "query ($path: Path!, $revision: Token) { read(path: $path, freshness: {minRevision: $revision}) { release { version content } } whoAmI { user } }",
  { path: LIMITS, revision: published.data.publish.revision },
);
assert.deepEqual(read.data, { read: { release: { version: 2, content: '{"n": 2}' } }, whoAmI: { user: "admin" } });

console.log("What is wrong with a request is in the extensions of the error.");
const refused = await publish('{\n  "n": oops\n}');
assert.equal(refused.errors[0].extensions.code, "invalid");
assert.equal(refused.errors[0].extensions.problems[0].line, 2);
const none = await ask("query ($path: Path!) { read(path: $path) { revision } }", { path: `${ENV}/none.json` });
assert.equal(none.errors[0].extensions.code, "not_found");

console.log("It watches.");
const operation = {
  query: "subscription ($paths: [Pattern!]!, $after: Token) { watch(paths: $paths, after: $after) { revision reset changes { path deleted release { version content } } } }",
  variables: { paths: [ENV] },
};
const events = client.iterate(operation);
// next is the next event that changes something. It is where to go on from, should
// the connection be lost: the library sends the operation again as it is then.
async function next() {
  for (;;) {
    const { value, done } = await events.next();
    assert.equal(done, false);
    assert.equal(value.errors, undefined);
    const { watch } = value.data;
    operation.variables.after = watch.revision;
    if (watch.changes.length > 0) return watch;
  }
}
const snapshot = await next();
assert.equal(snapshot.reset, true);
assert.deepEqual(snapshot.changes, [{ path: LIMITS, deleted: false, release: { version: 2, content: '{"n": 2}' } }]);
await publish('{"n": 3}');
const change = await next();
assert.equal(change.reset, false);
assert.equal(change.changes[0].release.content, '{"n": 3}');

console.log("Its connection is lost; it comes back by itself, for what it has missed.");
const lost = socket;
const closed = new Promise((resolve) => lost.once("close", resolve));
lost.terminate();
await closed;
assert.equal((await publish('{"n": 4}')).data.publish.items[0].version, 4); // over a new connection
const missed = await next();
assert.equal(missed.reset, false);
assert.deepEqual(missed.changes.map((c) => c.release), [{ version: 4, content: '{"n": 4}' }]);
assert.notEqual(socket, lost);
await events.return();
await client.dispose();

console.log("It does not get in with a token that is none.");
const stranger = connect("sp_none_at_all", 0);
await assert.rejects(stranger.iterate({ query: "{ whoAmI { user } }" }).next(), { code: 4403 });
await stranger.dispose();

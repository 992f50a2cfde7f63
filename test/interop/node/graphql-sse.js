// A client of GraphQL for Node.js, over Server-Sent Events: each operation by a
// request of its own. It is told in its environment where the server is, says what
// it does, and ends with 0 if all went well.
import assert from "node:assert/strict";
import { createClient } from "graphql-sse";

const { ADDR, TOKEN, ENV, LIMITS } = process.env;

const connect = (token) =>
  createClient({
    url: `https://${ADDR}/graphql`,
    headers: { Authorization: `Bearer ${token}`, "Setpoint-Instance": "pod-3" },
    retryAttempts: 0,
  });
const client = connect(TOKEN);

// ask does an operation that has one answer.
async function ask(query, variables) {
  for await (const answer of client.iterate({ query, variables })) return answer;
}

const publish = async (content) => {
  const { data } = await ask("mutation ($input: PublishInput!) { publish(input: $input) { items { version } } }", {
    input: { tenant: "acme", items: [{ path: LIMITS, content }] },
  });
  return data.publish.items[0].version;
};

// watch begins a watch of the env; next() is the next event that changes something.
function watch(after) {
  const events = client.iterate({
    query: "subscription ($paths: [Pattern!]!, $after: Token) { watch(paths: $paths, after: $after) { revision reset changes { release { version content } } } }",
    variables: { paths: [ENV], after },
  });
  const next = async () => {
    for (;;) {
      const { value, done } = await events.next();
      assert.equal(done, false);
      assert.equal(value.errors, undefined);
      if (value.data.watch.changes.length > 0) return value.data.watch;
    }
  };
  return { next, end: () => events.return() };
}

console.log("It releases, and reads what it has released.");
assert.equal(await publish('{"n": 2}'), 2);
const read = await ask("query ($path: Path!) { read(path: $path) { release { version content } } }", { path: LIMITS });
assert.deepEqual(read.data.read.release, { version: 2, content: '{"n": 2}' });
const none = await ask("query ($path: Path!) { read(path: $path) { revision } }", { path: `${ENV}/none.json` });
assert.equal(none.errors[0].extensions.code, "not_found");

console.log("It watches.");
const first = watch();
const snapshot = await first.next();
assert.equal(snapshot.reset, true);
assert.deepEqual(snapshot.changes[0].release, { version: 2, content: '{"n": 2}' });
assert.equal(await publish('{"n": 3}'), 3);
const change = await first.next();
assert.equal(change.reset, false);
assert.deepEqual(change.changes[0].release, { version: 3, content: '{"n": 3}' });

console.log("It goes away, and comes back for what it has missed.");
await first.end();
assert.equal(await publish('{"n": 4}'), 4);
const second = watch(change.revision);
const missed = await second.next();
assert.equal(missed.reset, false);
assert.deepEqual(missed.changes.map((c) => c.release), [{ version: 4, content: '{"n": 4}' }]);
await second.end();
client.dispose();

console.log("It does not get in with a token that is none.");
const stranger = connect("sp_none_at_all");
await assert.rejects(stranger.iterate({ query: "{ whoAmI { user } }" }).next(), (err) => err.response.status === 401);
stranger.dispose();

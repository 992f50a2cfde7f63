"use strict";

// The page sends what is asked with fetch alone, subscriptions too: unlike WebSocket
// in browsers it can carry the Authorization header that is written in the page.

const welcome = `# Write your token into the headers below, then press Ctrl-Enter.
query {
  whoAmI { user grants { role scope } }
  tenants { items { name description } next }
}
`;

// send asks for an operation once.
async function send(asked, headers, accept, signal) {
  return fetch("/graphql", {
    method: "POST",
    credentials: "omit",
    headers: { ...headers, "Content-Type": "application/json", Accept: accept },
    body: JSON.stringify(asked),
    signal,
  });
}

// events yields what a stream of server-sent events tells, until it ends.
async function* events(asked, headers) {
  const stop = new AbortController();
  try {
    const answer = await send(asked, headers, "text/event-stream", stop.signal);
    if (!(answer.headers.get("Content-Type") || "").startsWith("text/event-stream")) {
      yield await answer.json();
      return;
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const lines = part.split("\n");
        const data = lines.filter((l) => l.startsWith("data:")).map((l) => l.slice(5).trimStart()).join("\n");
        if (lines.includes("event: next")) yield JSON.parse(data);
        if (lines.includes("event: complete")) return;
      }
    }
  } finally {
    stop.abort();
  }
}

// isSubscription finds out what an operation is. GraphiQL has read the document.
function isSubscription(asked, options) {
  const operations = ((options && options.documentAST) || { definitions: [] }).definitions.filter(
    (d) => d.kind === "OperationDefinition" && (!asked.operationName || (d.name && d.name.value === asked.operationName)),
  );
  return operations.some((d) => d.operation === "subscription");
}

async function fetcher(asked, options) {
  const headers = (options && options.headers) || {};
  if (isSubscription(asked, options)) return events(asked, headers);
  return (await send(asked, headers, "application/graphql-response+json")).json();
}

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher,
    defaultQuery: welcome,
    defaultHeaders: JSON.stringify({ Authorization: "Bearer …" }, null, 2),
    defaultEditorToolsVisibility: "headers",
    shouldPersistHeaders: false,
  }),
);

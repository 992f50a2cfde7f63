// What the pages share. Each page does one thing after the other, and tells the
// test that serves it what has happened; it goes on when the test has an answer.
export const tell = async (what, more = {}) => {
  const answer = await fetch("/tell", { method: "POST", body: JSON.stringify({ what, ...more }) });
  if (!answer.ok) throw new Error(`the test answers ${answer.status}`);
};

// told is what the test wants the page to know.
export const told = await (await fetch("/told")).json();

// Inbox keeps what comes until it is asked for.
export class Inbox {
  #items = [];
  #waiting = [];
  put(item) {
    if (this.#waiting.length > 0) this.#waiting.shift()(item);
    else this.#items.push(item);
  }
  next() {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

// What a page did not expect, the test should know.
addEventListener("unhandledrejection", ({ reason }) => tell("failed", { why: String(reason?.stack ?? reason) }));

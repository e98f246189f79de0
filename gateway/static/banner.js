// <forewarn-banner api="https://status.example.com" token="…" lang="en"></forewarn-banner>
// Shows open incidents. No dependency; every text from outside goes in through textContent.
(() => {
  "use strict";
  if (customElements.get("forewarn-banner")) return;

  const HOME = document.currentScript ? new URL(document.currentScript.src).origin : "";
  const POLL_MS = 30000;
  const FIRST_EVENT_MS = 10000;
  const REMEMBERED = "forewarn-dismissed:";

  const STYLE = `
    :host { display: block; }
    [hidden] { display: none; }
    .item {
      display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1rem;
      padding: .6rem 1rem; border-bottom: 1px solid rgb(0 0 0 / .15);
      font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
      color: #10233a; background: #dcebfa;
    }
    .warning { color: #3a2900; background: #ffe8ad; }
    .critical { color: #fff; background: #a61b12; }
    .resolved { color: #0d3320; background: #d3f2df; }
    .words { flex: 1 1 18rem; overflow-wrap: anywhere; }
    a { color: inherit; font-weight: 600; padding-block: .55rem; }
    button {
      font: inherit; color: inherit; background: none; border: 1px solid currentColor;
      border-radius: .3rem; padding: .15rem .9rem; min-height: 2.5rem; cursor: pointer;
    }
    a:focus-visible, button:focus-visible { outline: 3px solid currentColor; outline-offset: 2px; }
  `;

  // Storage may be denied; then a dismissal lasts as long as the page.
  const forgotten = new Map();
  function dismissedVersion(id) {
    try {
      return localStorage.getItem(REMEMBERED + id);
    } catch {
      return forgotten.get(id) ?? null;
    }
  }
  function rememberDismissal(id, version) {
    try {
      localStorage.setItem(REMEMBERED + id, version);
    } catch {
      forgotten.set(id, version);
    }
  }

  function make(name, className, text) {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text) element.textContent = text;
    return element;
  }

  class ForewarnBanner extends HTMLElement {
    static observedAttributes = ["api", "token", "lang"];

    constructor() {
      super();
      this.attachShadow({ mode: "open" });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      this.shadowRoot.adoptedStyleSheets = [sheet];
      // There before its content, so that screen readers notice what comes.
      this.region = make("div");
      this.region.setAttribute("aria-live", "polite");
      this.shadowRoot.append(this.region);
    }

    connectedCallback() {
      this.start();
    }

    disconnectedCallback() {
      this.stop();
    }

    attributeChangedCallback(name, before, after) {
      if (before !== after && this.running) {
        this.stop();
        this.start();
      }
    }

    start() {
      this.running = true;
      this.shown = null;
      this.listen();
    }

    stop() {
      this.running = false;
      this.source?.close();
      this.source = null;
      this.request?.abort();
      clearTimeout(this.timer);
    }

    address(path) {
      const api = (this.getAttribute("api") ?? HOME).replace(/\/+$/, "");
      const query = new URLSearchParams();
      for (const name of ["token", "lang"]) {
        if (this.getAttribute(name)) query.set(name, this.getAttribute(name));
      }
      return `${api}${path}${query.size ? `?${query}` : ""}`;
    }

    listen() {
      if (!this.running) return;
      if (typeof EventSource === "undefined") {
        this.poll();
        return;
      }
      const source = new EventSource(this.address("/api/banner/stream"));
      this.source = source;
      const giveUp = () => {
        if (this.source !== source) return;
        source.close();
        this.source = null;
        clearTimeout(this.timer);
        this.poll();
      };
      // A proxy that buffers never fails, it just says nothing.
      this.timer = setTimeout(giveUp, FIRST_EVENT_MS);
      source.addEventListener("incidents", (event) => {
        clearTimeout(this.timer);
        this.show(event.data);
      });
      source.addEventListener("error", () => {
        // While the browser itself tries again there is nothing to do.
        if (source.readyState === EventSource.CLOSED) giveUp();
      });
    }

    async poll() {
      this.request = new AbortController();
      try {
        const answer = await fetch(this.address("/api/incidents/active"), {
          signal: this.request.signal,
          credentials: "omit",
        });
        if (answer.status === 401) {
          this.show('{"items": []}');
          return;
        }
        if (answer.ok) this.show(await answer.text());
      } catch {
        // Offline: what is shown stays, the next turn asks again.
      }
      if (this.running) this.timer = setTimeout(() => this.listen(), POLL_MS);
    }

    show(data) {
      if (!this.running || data === this.shown) return;
      let list;
      try {
        list = JSON.parse(data);
      } catch {
        return;
      }
      this.shown = data;
      this.labels = list.labels ?? {};
      if (this.labels.region) {
        this.region.setAttribute("role", "region");
        this.region.setAttribute("aria-label", this.labels.region);
      }
      const visible = list.items.filter(
        (item) => !this.canDismiss(item) || dismissedVersion(item.id) !== item.version,
      );
      this.region.replaceChildren(...visible.map((item) => this.draw(item)));
    }

    canDismiss(item) {
      return item.dismissible === true && item.level !== "critical";
    }

    draw(item) {
      const level = ["info", "warning", "critical"].includes(item.level) ? item.level : "info";
      const box = make("div", `item ${item.state === "resolved" ? "resolved" : level}`);
      if (level === "critical") box.setAttribute("role", "alert");
      const line = make("span", "words");
      line.dir = "auto";
      // The text names what the title names: a screen reader should not say it twice.
      line.append(item.text ? make("span", "", item.text) : make("strong", "", item.title));
      box.append(line);
      const link = this.statusLink(item.status_url);
      if (link) box.append(link);
      if (this.canDismiss(item)) {
        const button = make("button", "", this.labels.dismiss ?? "×");
        button.type = "button";
        button.addEventListener("click", () => {
          rememberDismissal(item.id, item.version);
          box.remove();
        });
        box.append(button);
      }
      return box;
    }

    statusLink(address) {
      let url;
      try {
        url = new URL(address, location.href);
      } catch {
        return null;
      }
      if (url.protocol !== "https:" && url.protocol !== "http:") return null;
      const link = make("a", "", this.labels.view ?? url.host);
      link.href = url.href;
      link.target = "_blank";
      link.rel = "noopener";
      return link;
    }
  }

  customElements.define("forewarn-banner", ForewarnBanner);
})();

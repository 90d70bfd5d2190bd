// Parts of a page that the console sends as they change (server-sent events). A stream is open only while somebody may
// look at the page: it ends in a hidden tab, and continues after what was shown last.
"use strict";

(() => {
  const RETRY = 3000;

  class Stream {
    constructor(element) {
      this.element = element;
      this.after = element.dataset.after || "";
      this.paused = false;
      this.over = false;
      this.source = null;
      this.timer = 0;
      this.state = document.getElementById(element.dataset.stateElement || "");
      document.addEventListener("visibilitychange", () => this.settle());
      addEventListener("pagehide", () => this.close());
      addEventListener("pageshow", () => this.settle());
      this.settle();
    }

    // Open or close, as the tab and the person want it.
    settle() {
      const wanted = !this.paused && !this.over && document.visibilityState === "visible";
      if (wanted && !this.source) this.open();
      if (!wanted) this.close();
      if (this.paused) this.show("paused");
    }

    open() {
      const url = new URL(this.element.dataset.stream, location.href);
      if (this.after) url.searchParams.set("after", this.after);
      this.source = new EventSource(url);
      this.source.addEventListener("part", (event) => {
        if (event.lastEventId) this.after = event.lastEventId;
        this.show("on");
        this.put(event.data);
      });
      this.source.addEventListener("beat", () => this.show("on"));
      this.source.addEventListener("end", () => {
        this.over = true;
        this.close();
      });
      this.source.addEventListener("sign_in", () => {
        this.over = true;
        this.close();
        location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
      });
      this.source.onerror = () => {
        this.close();
        this.show("lost");
        this.timer = setTimeout(() => this.settle(), RETRY);
      };
    }

    close() {
      clearTimeout(this.timer);
      this.source?.close();
      this.source = null;
    }

    put(html) {
      document.dispatchEvent(new CustomEvent("console:refreshing"));
      if (this.element.dataset.mode !== "prepend") {
        if (window.Idiomorph) Idiomorph.morph(this.element, html, { morphStyle: "innerHTML" });
        else this.element.innerHTML = html;
        this.tell();
        return;
      }
      const template = document.createElement("template");
      template.innerHTML = html;
      for (const old of this.element.querySelectorAll(".tail-notice")) old.remove();
      for (const row of template.content.querySelectorAll("[id]")) {
        if (document.getElementById(row.id)) row.remove();
      }
      this.element.prepend(template.content);
      const most = Number(this.element.dataset.most);
      while (this.element.children.length > most) this.element.lastElementChild.remove();
      this.tell();
    }

    tell() {
      document.dispatchEvent(new CustomEvent("console:refreshed"));
    }

    show(state) {
      if (!this.state) return;
      this.state.dataset.state = state;
      this.state.textContent = this.state.dataset[`text${state[0].toUpperCase()}${state.slice(1)}`];
    }
  }

  const streams = new Map();
  for (const element of document.querySelectorAll("[data-stream]")) streams.set(element.id, new Stream(element));
  for (const button of document.querySelectorAll("[data-stream-pause]")) {
    button.addEventListener("click", () => {
      const stream = streams.get(button.dataset.streamPause);
      stream.paused = !stream.paused;
      button.setAttribute("aria-pressed", String(stream.paused));
      button.textContent = stream.paused ? button.dataset.textContinue : button.dataset.textPause;
      stream.settle();
    });
  }
})();

// What pages do in a browser with scripts. Every page can be read without them.
"use strict";

(() => {
  const root = document.documentElement;
  root.classList.add("scripted");

  // Times: the next pages come in the reader's zone; those of this page are converted here.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax${secure}`;

  const shownZone = document.getElementById("zone");
  if (shownZone) shownZone.textContent = zone;

  const inZone = (at, milliseconds) => {
    const text = at.toLocaleString("sv-SE", { timeZone: zone, hour12: false });
    return milliseconds ? `${text}.${String(at.getMilliseconds()).padStart(3, "0")}` : text;
  };
  const convertTimes = (within) => {
    if (root.dataset.zone === zone) return;
    for (const element of within.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      if (!Number.isNaN(at.getTime())) element.textContent = inZone(at, "milliseconds" in element.dataset);
    }
  };

  // Refreshing: pages with an element of the class `live`, only while somebody may look at them.
  let seconds = Number(document.body.dataset.refresh || 0);
  const pulse = document.getElementById("pulse");
  let paused = false;
  let timer = 0;
  const show = (state) => {
    if (!pulse) return;
    pulse.dataset.state = state;
    pulse.textContent = pulse.dataset[`text${state[0].toUpperCase()}${state.slice(1)}`];
  };
  const refresh = () => {
    if (!paused && document.visibilityState === "visible") htmx.trigger(document.body, "refresh");
  };
  const schedule = () => {
    clearInterval(timer);
    timer = 0;
    if (!paused && seconds && document.visibilityState === "visible" && document.querySelector(".live")) {
      timer = setInterval(refresh, seconds * 1000);
    }
  };
  document.addEventListener("visibilitychange", () => {
    schedule();
    refresh();
  });
  document.getElementById("pause")?.addEventListener("click", (event) => {
    paused = !paused;
    event.currentTarget.setAttribute("aria-pressed", String(paused));
    show(paused ? "paused" : "on");
    schedule();
    refresh();
  });

  // What a person opened stays open while the page refreshes, and what can be scrolled can be reached.
  const KEPT = { open: "details", tabindex: ".table-wrap, h2", role: ".table-wrap", "aria-label": ".table-wrap" };
  if (window.Idiomorph) {
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name in KEPT && node.matches(KEPT[name]));
  }

  // What is wider than its place is scrolled by keys as well: it can be focused, and has a name.
  const reachScrolled = () => {
    for (const element of document.querySelectorAll(".table-wrap, .flow-wide")) {
      if (element.scrollWidth <= element.clientWidth) {
        if (element !== document.activeElement) element.removeAttribute("tabindex");
        continue;
      }
      element.tabIndex = 0;
      element.setAttribute("role", "group");
      element.setAttribute("aria-label", element.closest("section")?.querySelector("h2")?.textContent.trim() || document.title);
    }
  };
  addEventListener("resize", reachScrolled);

  // A focused element that a refresh removes leaves the focus to the heading of its section.
  let focused = null;
  document.addEventListener("console:refreshing", () => {
    const element = document.activeElement;
    focused = element === document.body ? null : { element, heading: element.closest("section")?.querySelector("h2") };
  });
  document.addEventListener("console:refreshed", () => {
    reachScrolled();
    if (!focused || focused.element.isConnected) return;
    const heading = focused.heading?.isConnected ? focused.heading : document.getElementById("main");
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  });
  // A page that needs more calls of a service is refreshed less often.
  document.body.addEventListener("htmx:afterOnLoad", (event) => {
    const wanted = Number(event.detail.xhr?.getResponseHeader("X-Refresh-Seconds"));
    if (wanted && wanted !== seconds) {
      seconds = wanted;
      if (pulse) pulse.dataset.textOn = pulse.dataset.textOn.replace(/\d+(\.\d+)?/, seconds);
      schedule();
    }
  });
  document.body.addEventListener("htmx:beforeSwap", () => document.dispatchEvent(new CustomEvent("console:refreshing")));
  document.body.addEventListener("htmx:afterSwap", (event) => {
    convertTimes(event.target);
    document.dispatchEvent(new CustomEvent("console:refreshed"));
    if (!paused) show("on");
  });
  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.body.addEventListener(name, () => show("lost"));
  }

  // Small conveniences
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    button.dataset.copied = "";
    setTimeout(() => delete button.dataset.copied, 1500);
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const search = document.getElementById("search");
      if (search) {
        event.preventDefault();
        search.focus();
      }
    }
  });
  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent !== undefined) event.preventDefault();
    form.dataset.sent = "";
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
    }
  });

  convertTimes(document);
  reachScrolled();
  schedule();
  show(seconds && document.querySelector(".live") ? "on" : "off");
})();

// Light or dark: as the reader chose on this page or before, otherwise as the system says.
(() => {
  "use strict";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => {
    try { return localStorage.getItem("iibench-theme"); } catch { return null; } // no storage here
  };
  const keep = (value) => {
    try { localStorage.setItem("iibench-theme", value); } catch { /* the URL keeps it */ }
  };
  const known = (value) => value === "light" || value === "dark";
  const asked = () => new URLSearchParams(location.search).get("theme");
  const chosen = [asked(), kept()].find(known);
  if (chosen) root.dataset.theme = chosen;
  const current = () => root.dataset.theme || (system.matches ? "dark" : "light");
  const changed = () => document.dispatchEvent(new CustomEvent("iibench:theme"));
  addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("button.theme");
    const say = () => { button.textContent = current() === "dark" ? "Light theme" : "Dark theme"; };
    button.hidden = false;
    say();
    button.addEventListener("click", () => {
      root.dataset.theme = current() === "dark" ? "light" : "dark";
      keep(root.dataset.theme);
      window.iibench.state.set("theme", root.dataset.theme);
      say();
      changed();
    });
    document.addEventListener("iibench:state", () => {
      if (!known(asked()) || asked() === current()) return;
      root.dataset.theme = asked();
      say();
      changed();
    });
    system.addEventListener("change", () => { say(); changed(); });
    matchMedia("print").addEventListener("change", changed);
  });
})();

// Places on the page: a link to a folded one unfolds it. Copying of BibTeX.
(() => {
  "use strict";
  const unfold = () => {
    let name = location.hash.slice(1);
    try { name = decodeURIComponent(name); } catch { /* a stray % in a typed address */ }
    const target = name && document.getElementById(name);
    if (!target) return;
    const card = target.closest(".card");
    if (card) card.querySelector("details").open = true;
    for (let at = target; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") at.open = true;
    }
    (card || target).scrollIntoView();
    if (card) card.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", unfold);
  unfold();
  document.addEventListener("click", (event) => {
    // the same link again: the hash does not change
    const link = event.target.closest("a[href^='#']");
    if (link && link.getAttribute("href") === location.hash) unfold();
  });

  const selected = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return document.execCommand("copy");
  };
  for (const button of document.querySelectorAll("button.copy")) {
    const text = button.parentElement.querySelector("pre");
    button.addEventListener("click", async () => {
      let done = true;
      try { await navigator.clipboard.writeText(text.textContent); } catch { done = selected(text); }
      button.textContent = done ? "Copied" : "Press Ctrl+C";
    });
  }

  // printed, everything is unfolded that a reader could unfold, but for cards and tracebacks
  const folded = [];
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details.view:not(.parts), details.more, details.reasons")) {
      if (!details.open) { details.open = true; folded.push(details); }
    }
  });
  addEventListener("afterprint", () => { folded.splice(0).forEach((details) => { details.open = false; }); });
})();

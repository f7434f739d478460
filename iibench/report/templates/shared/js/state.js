// The state of the page's views, in the URL: the query holds views, the hash a place on the page.
// The event `iibench:state` on document says that it changed other than by the part that set it.
iibench.state = (() => {
  "use strict";
  let query = location.search; // also where a page may not touch its history
  const write = (params, push) => {
    const text = params.toString();
    query = text ? `?${text}` : "";
    const address = location.href.split(/[?#]/)[0] + query + location.hash;
    try {
      if (push) history.pushState(null, "", address);
      else history.replaceState(history.state, "", address);
    } catch { /* a page within another document has no address of its own */ }
  };
  const announce = () => document.dispatchEvent(new CustomEvent("iibench:state"));
  addEventListener("popstate", () => {
    if (location.search === query) return;
    query = location.search;
    announce();
  });
  return {
    get: (key) => new URLSearchParams(query).get(key),
    keys: () => [...new URLSearchParams(query).keys()],
    // `push`: the browser's back button undoes it
    set(key, value, push = false) {
      const params = new URLSearchParams(query);
      if (value === null || value === "") params.delete(key);
      else params.set(key, value);
      if (params.toString() !== new URLSearchParams(query).toString()) write(params, push);
    },
    // forgets all keys that start so, but for the theme
    reset(prefix = "") {
      const params = new URLSearchParams(query);
      for (const key of [...params.keys()]) {
        if (key !== "theme" && key.startsWith(prefix)) params.delete(key);
      }
      write(params, true);
      announce();
    },
  };
})();

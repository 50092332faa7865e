/* What page 12 begins with: a button that loads the lab, which is made of modules (helpers/lab/web), or the sentence that
   says why there is none. Until it is pressed nothing is loaded. */
(function () {
  "use strict";

  const root = document.querySelector(".quantdetect-lab");
  if (!root) return;
  const button = root.querySelector(".lab-open");

  function say(name) {
    for (const one of ["start", "file", "missing", "failed"]) root.querySelector(`.lab-${one}`).hidden = one !== name;
    button.hidden = name !== "start";
  }

  async function open() {
    button.disabled = true;
    button.textContent = "Opening \u2026";
    try {
      const view = await import(new URL(`${root.dataset.lab}web/view.js`, document.baseURI).href);
      await view.open(root);
    } catch (error) {
      console.info(`lab: ${error}`);
      say(await absent() ? "missing" : "failed");
    }
  }

  /** Whether the site has no lab; otherwise it could not be reached for a while, or a module fails. */
  async function absent() {
    const answer = await fetch(new URL(`${root.dataset.lab}lab.json`, document.baseURI)).catch(() => null);
    return answer?.status === 404;
  }

  say(location.protocol === "file:" ? "file" : "start");
  button.addEventListener("click", open);
})();

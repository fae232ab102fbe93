"use strict";
(() => {
  const tip = document.getElementById("tip");
  const place = (event) => {
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
    const below = event.clientY + 18;
    const top = below + box.height > innerHeight ? event.clientY - box.height - 12 : below;
    tip.style.transform = `translate(${Math.max(8, left)}px, ${Math.max(8, top)}px)`;
  };
  addEventListener("pointermove", (event) => {
    const target = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
    tip.hidden = !target;
    if (target) {
      tip.textContent = target.dataset.tip;
      place(event);
    }
  });
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  // Pointing at a prompt or an arc shows only what is connected with it.
  for (const graph of document.querySelectorAll(".graph")) {
    const links = graph.querySelectorAll("[data-from]");
    const light = (chosen) => {
      graph.classList.toggle("lit", chosen !== null);
      for (const link of links) {
        const node = chosen && chosen.node;
        const touches = chosen !== null && (node === undefined
          ? link.dataset.from === chosen.from && link.dataset.to === chosen.to
          : link.dataset.from === node || link.dataset.to === node);
        link.classList.toggle("on", touches);
      }
    };
    graph.addEventListener("pointerover", (event) => {
      const found = event.target.closest("[data-node], [data-from]");
      light(found ? { ...found.dataset } : null);
    });
    graph.addEventListener("pointerleave", () => light(null));
  }

  // Paper cannot be unfolded.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();

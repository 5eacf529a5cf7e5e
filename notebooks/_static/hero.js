// The figure of the first page: another machine, other formats, and what the mark pointed at says.
document.addEventListener("DOMContentLoaded", () => {
  const hero = document.querySelector(".hero");
  if (!hero) return;
  const form = hero.querySelector("form"), told = hero.querySelector("output");
  form.hidden = false;
  form.addEventListener("input", () => {
    const asked = `${form.machine.value} ${form.formats.value}`;
    for (const figure of hero.querySelectorAll("figure")) figure.hidden = figure.dataset.of !== asked;
  });
  for (const kind of ["pointerover", "focusin"]) {
    hero.addEventListener(kind, (event) => {
      const mark = event.target.closest("[tabindex]:has(title)");
      if (mark) told.textContent = mark.querySelector("title").textContent;
    });
  }
});

// The button that copies how a page is cited; where the clipboard is closed, the words are selected.
document.addEventListener("DOMContentLoaded", () => {
  const cite = document.querySelector(".about .cite"), button = document.querySelector(".about button");
  if (!cite) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(cite);
    try { await navigator.clipboard.writeText(cite.textContent); } catch { document.execCommand("copy"); }
    button.textContent = "copied";
  });
});

// A link to a claim carries the version of the data it was made with: say so when they have moved on.
document.addEventListener("DOMContentLoaded", () => {
  const told = document.getElementById("moved");
  const made = new URLSearchParams(location.search).get("data");
  if (told && made && made !== told.dataset.version) told.hidden = false;
});

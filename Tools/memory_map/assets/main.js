// Everything that depends on the theme is drawn again when it changes.
function paintAll() {
  patternCache.clear();
  document.getElementById("theme-name").textContent = isDark() ? "Light" : "Dark";
  paintSwatches();
  drawFragmentation();
  drawSlabs();
  drawVirtual();
  render();
}

document.getElementById("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  paintAll();
});
darkQuery.addEventListener("change", paintAll);
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) fit();
  width = innerWidth;
});
roving(document.getElementById("areas"), ".area");
stage.setAttribute("aria-label", `Map of physical memory: ${plural(runs.reduce((sum, run) => sum + run.count, 0), "frame")} in ${plural(runs.length, "region")}`);
startTables();
startTimeline();
paintAll();
fit();
document.documentElement.dataset.ready = "true";

// A trace, played: what each frame was at each event. The dump is the state after the last one.
//
// A frame that the trace never names is as in the dump all the time. Another was, before its first event, what that event
// ends: free before an allocation, in use before a free. After its last it is as in the dump.
const timeline = { events: dump.trace?.events ?? [], moment: 0, states: new Map(), timer: 0, statesOf: (section) => (
  timeline.moment === timeline.events.length ? null : timeline.states.get(section)) };
const OTHER = useIndex.allocated;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function eachFrame(event, body) {
  if (event.pfn === undefined) return;
  for (let frame = event.pfn; frame < event.pfn + 2 ** event.order; frame++) body(frame, Math.floor(frame / SECTION));
}

function stateInDump(frame) {
  const index = runIndexAt(frame);
  return index < 0 ? 255 : runs[index].use;
}

const lastEvent = new Map();
timeline.events.forEach((event, index) => eachFrame(event, (frame) => lastEvent.set(frame, index)));

function toStart() {
  timeline.states.clear();
  for (const event of timeline.events) {
    eachFrame(event, (frame, section) => {
      if (!layout.place.has(section) || timeline.states.has(section)) return;
      timeline.states.set(section, Uint8Array.from({ length: SECTION }, (_, index) => stateInDump(section * SECTION + index)));
    });
  }
  const seen = new Set();
  for (const event of timeline.events) {
    eachFrame(event, (frame, section) => {
      if (seen.has(frame)) return;
      seen.add(frame);
      const states = timeline.states.get(section);
      if (!states) return;
      const inDump = stateInDump(frame);
      states[frame % SECTION] = event.name === "mm_page_alloc" ? FREE : inDump === FREE || inDump === 255 ? OTHER : inDump;
    });
  }
  timeline.moment = 0;
}

function apply(index) {
  const event = timeline.events[index];
  eachFrame(event, (frame, section) => {
    const states = timeline.states.get(section);
    if (!states) return;
    const inDump = stateInDump(frame);
    const isLast = lastEvent.get(frame) === index;
    states[frame % SECTION] = isLast ? inDump : event.name === "mm_page_free" ? FREE
      : inDump === FREE || inDump === 255 ? OTHER : inDump;
  });
}

function moveTo(moment) {
  moment = Math.max(0, Math.min(timeline.events.length, moment));
  if (moment < timeline.moment || !timeline.states.size) toStart();
  while (timeline.moment < moment) apply(timeline.moment++);
  const slider = document.getElementById("moment");
  slider.value = moment;
  const event = timeline.events[moment - 1];
  const words = event ? `${moment} of ${timeline.events.length} · ${event.time.toFixed(6)} s · ${event.text}` : "before the first event";
  slider.setAttribute("aria-valuetext", words);
  const status = document.getElementById("event");
  status.textContent = words;
  status.dataset.moment = moment;
  if (event?.pfn !== undefined && !timeline.timer && runIndexAt(event.pfn) >= 0) select(event.pfn);
  renderSoon();
}

function play(isOn) {
  clearInterval(timeline.timer);
  timeline.timer = 0;
  const button = document.getElementById("play");
  button.setAttribute("aria-pressed", String(isOn));
  button.textContent = isOn ? "Pause" : "Play";
  // A screen reader is told of single steps, and of where it ends, not of what flies past.
  document.getElementById("event").setAttribute("aria-live", isOn ? "off" : "polite");
  if (!isOn) return moveTo(timeline.moment);
  if (timeline.moment >= timeline.events.length) moveTo(0);
  // Who wants less motion gets a new picture each second, as many events further.
  const perSecond = () => Number(document.getElementById("speed").value) * 20;
  timeline.timer = setInterval(() => {
    moveTo(timeline.moment + Math.max(1, Math.round(perSecond() * (calm.matches ? 1 : 0.05))));
    if (timeline.moment >= timeline.events.length) play(false);
  }, calm.matches ? 1000 : 50);
}

function startTimeline() {
  if (!timeline.events.length) return;
  document.getElementById("timeline").hidden = false;
  document.getElementById("no-trace").hidden = true;
  document.getElementById("moment").max = timeline.events.length;
  const on = (id, kind, body) => document.getElementById(id).addEventListener(kind, body);
  on("to-start", "click", () => { play(false); moveTo(0); });
  on("step-back", "click", () => { play(false); moveTo(timeline.moment - 1); });
  on("step", "click", () => { play(false); moveTo(timeline.moment + 1); });
  on("play", "click", () => play(!timeline.timer));
  on("moment", "input", (event) => {
    const moment = Number(event.target.value);
    play(false);
    moveTo(moment);
  });
  moveTo(timeline.events.length);
}

// The sound of an alarm, where a person wants one: two tones every few seconds until it is acknowledged.

import { byId, kept } from "./dom.js";
import { t } from "./words.js";

const EVERY_MS = 4000;
const button = byId("alarm-sound");
let wanted = kept.get("sound", false);
let rings = false;
let audio = null;

/** Says whether an alarm is raised and not acknowledged. */
export function ring(raised) {
  rings = raised;
}

/** Whether the sound is wanted and the browser does not let it out: after a page is loaded, until a person presses something on it. */
const isSilent = () => wanted && audio?.state !== "running";

function tone() {
  if (!rings || !wanted || isSilent()) return;
  for (const [at, pitch] of [[0, 880], [0.25, 660]]) {
    const [source, volume] = [audio.createOscillator(), audio.createGain()];
    source.frequency.value = pitch;
    volume.gain.value = 0.2;
    source.connect(volume).connect(audio.destination);
    source.start(audio.currentTime + at);
    source.stop(audio.currentTime + at + 0.2);
  }
}

const show = () => {
  button.setAttribute("aria-pressed", wanted);
  button.classList.toggle("waits", isSilent());
  document.body.classList.toggle("silent", isSilent());
  button.textContent = t(!wanted ? "sound.off" : isSilent() ? "sound.waits" : "sound.on");
};

/** A browser lets a page sound once a person has pressed something on it; the sound of before a reload then goes on by itself. */
async function wake() {
  if (!wanted || audio?.state === "running") return;
  if (audio === null) {
    audio = new AudioContext();
    audio.addEventListener("statechange", show);
  }
  await audio.resume().catch(() => {});
  show();
}

button.addEventListener("click", () => {
  wanted = !wanted;
  kept.set("sound", wanted);
  show();
  wake();
});
for (const kind of ["pointerup", "keydown"]) addEventListener(kind, wake, { capture: true });
show();
setInterval(tone, EVERY_MS);

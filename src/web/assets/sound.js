// The sound of an alarm, where a person wants one: two tones every few seconds until it is acknowledged.

import { byId, kept } from "./dom.js";

const EVERY_MS = 4000;
const button = byId("alarm-sound");
let wanted = kept.get("sound", false);
let rings = false;
let audio = null;

/** Says whether an alarm is raised and not acknowledged. */
export function ring(raised) {
  rings = raised;
}

function tone() {
  if (!rings || !wanted) return;
  audio ??= new AudioContext();
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
  button.textContent = `Alarm sound ${wanted ? "on" : "off"}`;
};

button.addEventListener("click", () => {
  wanted = !wanted;
  kept.set("sound", wanted);
  // A browser lets a page sound once a person has pressed something on it.
  if (wanted) audio ??= new AudioContext();
  show();
});
show();
setInterval(tone, EVERY_MS);

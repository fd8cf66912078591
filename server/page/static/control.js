// Pause, resume and stop: a wish goes to the server with the token in a header, which no other
// site's page can add. The token is in its field only; it is kept nowhere.
const form = document.getElementById("control");
const token = document.getElementById("token");
const answer = document.getElementById("answer");
const sure = document.getElementById("sure");
const DONE = {
  pause: "The run is to pause after its present round.",
  run: "The run is to go on.",
  stop: "The run is to stop after its present round.",
};

function say(text, tone) {
  answer.textContent = text;
  answer.className = `answer ${tone}`;
}

async function send(wish) {
  say("Asking…", "");
  try {
    const reply = await fetch("wish", {
      method: "POST",
      headers: { Authorization: `Bearer ${token.value.trim()}`, "Content-Type": "application/json" },
      body: JSON.stringify({ wish }),
    });
    if (reply.ok) return say(DONE[wish], "good");
    if (reply.status === 401) { say("Refused: that is not the coordinator's token.", "bad"); return token.select(); }
    say(`Refused: ${(await reply.json()).detail}.`, "bad");
  } catch {
    say("Not sent: the page's server cannot be reached, or the token has strange characters.", "bad");
  }
}

function wanted(button) {
  if (button.getAttribute("aria-disabled") === "true") {
    return say(`${button.textContent.replace("…", "")} makes no sense in this state.`, "");
  }
  if (!token.value.trim()) { say("Enter the coordinator's token first.", "bad"); return token.focus(); }
  if (button.dataset.wish !== "stop") return send(button.dataset.wish);
  sure.returnValue = "cancel";
  sure.showModal();
}

form.addEventListener("submit", (event) => event.preventDefault());
for (const button of form.querySelectorAll("[data-wish]")) button.addEventListener("click", () => wanted(button));
sure.addEventListener("close", () => { if (sure.returnValue === "stop") send("stop"); });

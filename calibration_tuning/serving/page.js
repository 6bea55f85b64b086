"use strict";
const at = (id) => document.getElementById(id);
let about = {};
const turns = []; // questions and answers so far, for a follow-up

function made(kind, name, text) {
  const found = document.createElement(kind);
  found.className = name;
  found.textContent = text; // never innerHTML: answers are whatever a model wrote
  return found;
}

function shown(question, answer, found) {
  const item = document.createElement("li");
  const tone = found.confidence < 1 / 3 ? "low" : found.confidence < 2 / 3 ? "middle" : "high";
  const percent = Math.round(100 * found.confidence) + "%";
  const bar = document.createElement("progress");
  bar.value = found.confidence;
  bar.setAttribute("aria-label", "Probability that the answer is correct: " + percent);
  const meter = made("div", "meter " + tone, "");
  meter.append(bar, made("span", "percent", percent));
  item.append(made("p", "question", question), made("p", "answer", answer || "(no answer)"), meter);
  if (found.trusted !== null) {
    const rate = Math.round(100 * about.error_rate) + "% wrong";
    item.append(made("p", "muted", (found.trusted ? "Trusted" : "Not trusted") + " at " + rate));
  }
  if (found.familiar !== null && found.familiar < about.unfamiliar) {
    item.append(made("p", "warning", "Unlike the questions it was tuned on"));
  }
  if (found.finish_reason === "length") {
    item.append(made("p", "warning", "Cut: the answer is as long as answers may be"));
  }
  at("answers").prepend(item);
}

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (at("token").value) headers.Authorization = "Bearer " + at("token").value;
  let reply;
  try {
    reply = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  } catch {
    throw new Error("No reply from the server. Check that it is running, then ask again.");
  }
  const content = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(sentence((content.error && content.error.message) || "the server replies " + reply.status));
  return content;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

function conversation(question) {
  const system = at("system").value.trim();
  const earlier = at("follow").checked ? turns : [];
  return [...(system ? [{ role: "system", content: system }] : []), ...earlier, { role: "user", content: question }];
}

async function ask() {
  const question = at("question").value.trim();
  if (!question) throw new Error("Write a question first.");
  const answer = at("answer").value.trim();
  const choices = at("choices").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const context = at("context").value.trim() || null;
  const messages = conversation(question);
  if (answer) return shown(question, answer, await post("v1/confidence", { messages, answer, context }));
  const body = { model: about.model, messages, context };
  if (choices.length) body.choices = choices;
  const choice = (await post("v1/chat/completions", body)).choices[0];
  if (!at("follow").checked) turns.length = 0;
  turns.push({ role: "user", content: question }, { role: "assistant", content: choice.message.content });
  return shown(question, choice.message.content, choice);
}

function busy(begun) {
  const seconds = Math.round((Date.now() - begun) / 1000);
  at("waited").textContent = (at("answer").value.trim() ? "Judging" : "Answering and judging") + ", " + seconds + " s";
}

at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (at("ask").disabled) return; // Enter while an answer is on its way
  const begun = Date.now();
  busy(begun);
  const clock = setInterval(() => busy(begun), 1000);
  at("ask").disabled = true;
  at("busy").hidden = false;
  at("problem").hidden = true;
  try {
    await ask();
  } catch (error) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
  }
  clearInterval(clock);
  at("busy").hidden = true;
  at("ask").disabled = false;
});

at("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    at("form").requestSubmit();
  }
});

fetch("about").then((reply) => reply.json()).then((found) => {
  about = found;
  at("about").textContent = about.model + ", tuned from " + about.base + "; confidence through a " + about.calibrator + " calibrator";
  at("secret").hidden = !about.needs_token;
  if (about.has_picture) {
    at("diagram").src = "reliability.png";
    at("picture").hidden = false;
  }
}).catch(() => {
  at("problem").textContent = "Cannot reach the server. Check that it is running, then reload this page.";
  at("problem").hidden = false;
});

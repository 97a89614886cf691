// The official OpenAI SDK for Node as a client. Prints what it saw as JSON.
import OpenAI from "openai";

const [url, model] = process.argv.slice(2);
const sdk = new OpenAI({ apiKey: "unused", baseURL: `${url}/v1`, maxRetries: 0, timeout: 30_000 });
const messages = [{ role: "user", content: "Why is the sky blue?" }];
const seen = {};

const { data: whole, response } = await sdk.chat.completions.create({ model, messages, seed: 7 }).withResponse();
seen.chat = whole.choices[0].message.content;
seen.headers = Object.fromEntries(response.headers);

seen.chatStreamed = "";
for await (const chunk of await sdk.chat.completions.create({ model, messages, seed: 7, stream: true })) {
  seen.chatStreamed += chunk.choices[0]?.delta?.content ?? "";
}

const runner = sdk.chat.completions.stream({ model, messages, seed: 7 });
seen.chatHelper = await runner.finalContent();

seen.response = (await sdk.responses.create({ model, input: "Why is the sky blue?" })).output_text;
seen.responseEvents = [];
for await (const event of await sdk.responses.create({ model, input: "Why is the sky blue?", stream: true })) {
  seen.responseEvents.push(event.type);
}

seen.completion = (await sdk.completions.create({ model, prompt: "The sky is" })).choices[0].text;
const vectors = await sdk.embeddings.create({ model, input: ["one", "two"] });
seen.embeddings = vectors.data.map((item) => item.embedding.length);

seen.models = [];
for await (const entry of sdk.models.list()) seen.models.push(entry.id);

seen.parallel = (await Promise.all(Array.from({ length: 20 }, (_, n) =>
  sdk.chat.completions.create({ model, messages: [{ role: "user", content: `number ${n}` }] }))))
  .filter((answer) => answer.choices[0].message.content).length;

seen.error = await sdk.chat.completions.create({ model: 7, messages })
  .then(() => null, (error) => ({ name: error.constructor.name, status: error.status, code: error.code }));

const broken = await sdk.chat.completions.create({ model, messages, stream: true });
for await (const _ of broken) { broken.controller.abort(); break; }
seen.abandoned = true;

console.log(JSON.stringify(seen));

// The official Anthropic SDK for Node as a client. Prints what it saw as JSON.
import Anthropic from "@anthropic-ai/sdk";

const [url, model] = process.argv.slice(2);
const sdk = new Anthropic({ apiKey: "unused", baseURL: url, maxRetries: 0, timeout: 30_000 });
const messages = [{ role: "user", content: "Why is the sky blue?" }];
const call = { model, max_tokens: 256, messages };
const seen = {};

const { data: whole, response } = await sdk.messages.create(call).withResponse();
seen.message = whole.content[0].text;
seen.stop = whole.stop_reason;
seen.headers = Object.fromEntries(response.headers);

seen.events = [];
seen.streamed = "";
for await (const event of await sdk.messages.create({ ...call, stream: true })) {
  seen.events.push(event.type);
  if (event.type === "content_block_delta") seen.streamed += event.delta.text;
}

seen.helper = await sdk.messages.stream(call).finalText();
seen.tokens = (await sdk.messages.countTokens({ model, messages })).input_tokens;

seen.models = [];
for await (const entry of sdk.models.list()) seen.models.push(entry.id);

seen.error = await sdk.messages.create({ ...call, model: 7 })
  .then(() => null, (error) => ({ name: error.constructor.name, status: error.status, type: error.error?.error?.type }));

console.log(JSON.stringify(seen));

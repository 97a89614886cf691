// One of Node's SDKs doing the same five things, as `clients.py` has them for Python's, at one
// gateway after another. Prints what its user would look at there as JSON.
import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, isStepCount, Output, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const [kind, urls, model, asked] = process.argv.slice(2);
const { system, sky, weather: comparison, programmer, picture, reports, limit, pixel } = JSON.parse(asked);
const pixelUrl = `data:image/png;base64,${pixel}`;
const options = { apiKey: "unused", maxRetries: 0, timeout: 30_000 };
const schema = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
};
const parameters = {
  type: "object",
  properties: { city: { type: "string", description: "A city's name" } },
  required: ["city"],
  additionalProperties: false,
};
const description = "The weather in a city.";

/** The official OpenAI SDK, chat completions. */
function chat(url) {
  const { chat: { completions } } = new OpenAI({ ...options, baseURL: `${url}/v1` });
  const call = (messages, more) => ({
    model, max_completion_tokens: limit, messages: [{ role: "system", content: system }, ...messages], ...more,
  });
  const ask = async (content, more) =>
    (await completions.create(call([{ role: "user", content }], more))).choices[0].message.content;
  return {
    text: () => ask(sky),
    async stream() {
      const pieces = [];
      for await (const chunk of await completions.create(call([{ role: "user", content: sky }], { stream: true })))
        pieces.push(chunk.choices[0]?.delta.content ?? "");
      return pieces;
    },
    async tools() {
      const tools = [{ type: "function", function: { name: "weather", description, parameters, strict: true } }];
      const messages = [{ role: "user", content: comparison }];
      const said = await completions.stream(call(messages, { tools })).finalMessage();
      messages.push({ role: "assistant", content: said.content, tool_calls: said.tool_calls.map(({ id, type, function: { name, arguments: given } }) =>
        ({ id, type, function: { name, arguments: given } })) });
      for (const made of said.tool_calls)
        messages.push({ role: "tool", tool_call_id: made.id, content: reports[JSON.parse(made.function.arguments).city] });
      return (await completions.create(call(messages, { tools }))).choices[0].message.content;
    },
    structured: async () =>
      JSON.parse(await ask(programmer, { response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema } } })),
    image: () => ask([{ type: "text", text: picture }, { type: "image_url", image_url: { url: pixelUrl } }]),
  };
}

/** The official OpenAI SDK, Responses. */
function responses(url) {
  const { responses: api } = new OpenAI({ ...options, baseURL: `${url}/v1` });
  const call = (input, more) => ({ model, instructions: system, max_output_tokens: limit, store: false, input, ...more });
  return {
    text: async () => (await api.create(call(sky))).output_text,
    async stream() {
      const pieces = [];
      for await (const event of await api.create(call(sky, { stream: true })))
        if (event.type === "response.output_text.delta") pieces.push(event.delta);
      return pieces;
    },
    async tools() {
      const tools = [{ type: "function", name: "weather", description, parameters, strict: true }];
      const input = [{ role: "user", content: comparison }];
      const said = await api.stream(call(input, { tools })).finalResponse();
      for (const made of said.output.filter((item) => item.type === "function_call")) {
        const { type, call_id, name, arguments: given } = made;
        input.push({ type, call_id, name, arguments: given });
      }
      for (const { call_id, arguments: given } of said.output.filter((item) => item.type === "function_call"))
        input.push({ type: "function_call_output", call_id, output: reports[JSON.parse(given).city] });
      return (await api.create(call(input, { tools }))).output_text;
    },
    structured: async () => JSON.parse(
      (await api.create(call(programmer, { text: { format: { type: "json_schema", name: "person", strict: true, schema } } }))).output_text,
    ),
    image: async () => (await api.create(call([{ role: "user", content: [
      { type: "input_text", text: picture }, { type: "input_image", image_url: pixelUrl, detail: "auto" },
    ] }]))).output_text,
  };
}

/** The official Anthropic SDK. */
function messages(url) {
  const { messages: api } = new Anthropic({ ...options, baseURL: url });
  const call = (messages, more) => ({ model, system, max_tokens: limit, messages, ...more });
  const ask = async (content, more) => (await api.create(call([{ role: "user", content }], more))).content[0].text;
  return {
    text: () => ask(sky),
    async stream() {
      const pieces = [];
      for await (const event of await api.create(call([{ role: "user", content: sky }], { stream: true })))
        if (event.type === "content_block_delta") pieces.push(event.delta.text);
      return pieces;
    },
    async tools() {
      const tools = [{ name: "weather", description, input_schema: parameters }];
      const turns = [{ role: "user", content: comparison }];
      const said = await api.stream(call(turns, { tools })).finalMessage();
      turns.push({ role: "assistant", content: said.content });
      turns.push({ role: "user", content: said.content.filter((block) => block.type === "tool_use")
        .map((block) => ({ type: "tool_result", tool_use_id: block.id, content: reports[block.input.city] })) });
      return (await api.create(call(turns, { tools }))).content[0].text;
    },
    structured: async () => JSON.parse(await ask(programmer, { output_config: { format: { type: "json_schema", schema } } })),
    image: () => ask([
      { type: "image", source: { type: "base64", media_type: "image/png", data: pixel } }, { type: "text", text: picture },
    ]),
  };
}

/** The Vercel AI SDK. */
function vercel(made) {
  const call = { model: made, system, maxOutputTokens: limit, maxRetries: 0 };
  return {
    text: async () => (await generateText({ ...call, prompt: sky })).text,
    async stream() {
      const pieces = [];
      const failed = [];
      const { textStream } = streamText({ ...call, prompt: sky, onError: ({ error }) => failed.push(error) });
      for await (const piece of textStream) pieces.push(piece);
      if (failed.length) throw failed[0];
      return pieces;
    },
    async tools() {
      const weather = tool({
        description, inputSchema: z.object({ city: z.string().describe("A city's name") }), execute: ({ city }) => reports[city],
      });
      return (await generateText({ ...call, prompt: comparison, tools: { weather }, stopWhen: isStepCount(3) })).text;
    },
    structured: async () => (await generateText({
      ...call, prompt: programmer, output: Output.object({ schema: z.object({ name: z.string(), age: z.number().int() }) }),
    })).output,
    image: async () => (await generateText({ ...call, messages: [{ role: "user", content: [
      { type: "text", text: picture }, { type: "file", mediaType: "image/png", data: Buffer.from(pixel, "base64") },
    ] }] })).text,
  };
}

const vercelOpenAi = (url) => createOpenAI({ apiKey: "unused", baseURL: `${url}/v1` });
const kinds = {
  chat,
  responses,
  messages,
  vercelChat: (url) => vercel(vercelOpenAi(url).chat(model)),
  vercelResponses: (url) => vercel(vercelOpenAi(url).responses(model)),
  vercelMessages: (url) => vercel(createAnthropic({ apiKey: "unused", baseURL: `${url}/v1` })(model)),
};
const seen = [];
for (const url of JSON.parse(urls)) {
  const here = {};
  for (const [name, act] of Object.entries(kinds[kind](url)))
    here[name] = await act().catch((error) => ({ error: `${error.name}: ${error.message}` }));
  seen.push(here);
}
console.log(JSON.stringify(seen));

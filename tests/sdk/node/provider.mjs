// An independent provider, @copilotkit/aimock, that speaks OpenAI's, Anthropic's and Google's
// languages. Prints its address; ends when its input does.
import { LLMock } from "@copilotkit/aimock";

const script = JSON.parse(process.argv[2]);
const mock = new LLMock({ port: 0, host: "127.0.0.1", chunkSize: 8 });
for (const { match, response } of script) mock.on(match, response);
await mock.start();
console.log(mock.url);
process.stdin.resume().on("end", () => process.exit(0));

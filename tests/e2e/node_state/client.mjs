// Talks to a gateway by the AI SDK's default OpenAI provider, over several turns with a tool, and by the tool
// runner of Anthropic's SDK. Prints what they were answered, as one JSON object.
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { TRUNKLINE_URL: url, TRUNKLINE_KEY: key, MODEL: model } = process.env;
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
const weather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `Blue sky in ${city}`,
});

async function converse(ask) {
  const messages = [];
  const texts = [];
  for (const question of ["Weather in Rome?", "And tomorrow?"]) {
    messages.push({ role: "user", content: question });
    const { text, response } = await ask({
      model: openai(model),
      system: "Be brief.",
      messages,
      tools: { weather },
      stopWhen: stepCountIs(3),
      maxRetries: 0,
    });
    messages.push(...(await response).messages);
    texts.push(await text);
  }
  return texts;
}

async function streamed(options) {
  const result = streamText(options);
  await result.consumeStream();
  return result;
}

async function run() {
  const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
  const runner = client.beta.messages.toolRunner({
    model,
    max_tokens: 99,
    system: "Be brief.",
    messages: [{ role: "user", content: "Weather in Oslo?" }],
    tools: [
      {
        type: "custom",
        name: "weather",
        description: "The weather in a city",
        input_schema: { type: "object", properties: { city: { type: "string" } } },
        parse: (input) => input,
        run: ({ city }) => `Grey sky in ${city}`,
      },
    ],
  });
  return (await runner).content;
}

console.log(JSON.stringify({ whole: await converse(generateText), stream: await converse(streamed), runner: await run() }));

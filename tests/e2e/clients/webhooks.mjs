// Unwraps messages with OpenAI's own SDK, which manages no endpoints yet: `node webhooks.mjs <module> <messages as JSON>`.
const [module, given] = process.argv.slice(2);
const { default: OpenAI } = await import(module);
const client = new OpenAI({ apiKey: "unused" });

const verdicts = [];
for (const { body, headers, secret } of JSON.parse(given)) {
  try {
    const event = await client.webhooks.unwrap(body, headers, secret);
    verdicts.push(`${event.type} ${event.data.id}`);
  } catch (error) {
    verdicts.push(error.constructor.name);
  }
}

console.log(JSON.stringify(verdicts));

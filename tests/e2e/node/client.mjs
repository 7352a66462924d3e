// Asks a gateway by npm's `ollama` and prints what it was told, as one JSON object.
import { Ollama } from 'ollama'

const { TRUNKLINE_URL: host, TRUNKLINE_KEY: key, MODEL: model, PULLED: pulled } = process.env
const ollama = new Ollama({ host, headers: { Authorization: `Bearer ${key}` } })
const messages = [{ role: 'user', content: 'Hello!' }]

const collect = async (stream) => {
  const found = []
  for await (const part of await stream) found.push(part)
  return found
}

const failure = async (promise) => {
  try {
    await promise
    return null
  } catch (error) {
    return { message: error.message, status: error.status_code ?? null }
  }
}

const told = {
  chat: await ollama.chat({ model, messages }),
  stream: await collect(ollama.chat({ model, messages, stream: true })),
  generate: await ollama.generate({ model, prompt: 'Hello!' }),
  list: await ollama.list(),
  show: await ollama.show({ model }),
  ps: await ollama.ps(),
  pull: await collect(ollama.pull({ model: pulled, stream: true })),
  gone: await ollama.delete({ model: pulled }),
  unknown: await failure(ollama.chat({ model: 'nope', messages })),
  missing: await failure(collect(ollama.pull({ model: 'missing-one', stream: true }))),
}
console.log(JSON.stringify(told))

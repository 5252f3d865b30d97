// The backlog between two hypercores over TCP on loopback; see bench_peers.py. Prints one JSON object.
'use strict'
const fs = require('fs')
const net = require('net')
const path = require('path')
const Hypercore = require('hypercore')

const [posts, size, folder] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]]
const BATCH = 500

async function main () {
  const giver = new Hypercore(path.join(folder, 'giver'))
  await giver.ready()
  for (let start = 0; start < posts; start += BATCH) {
    const numbers = Array.from({ length: Math.min(BATCH, posts - start) }, (_, place) => start + place)
    await giver.append(numbers.map(number => Buffer.from(String(number).padEnd(size, 'x'))))
  }
  const taker = new Hypercore(path.join(folder, 'taker'), giver.key)
  await taker.ready()
  const server = net.createServer(socket => socket.pipe(giver.replicate(false)).pipe(socket))
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))

  const started = process.hrtime.bigint()
  const socket = net.connect(server.address().port, '127.0.0.1')
  socket.pipe(taker.replicate(true)).pipe(socket)
  let read = 0
  for await (const block of taker.createReadStream({ start: 0, end: posts })) read += block.length === size
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  const bytes = socket.bytesRead + socket.bytesWritten
  fs.writeSync(1, JSON.stringify({ read, seconds, bytes }) + '\n')
  process.exit(0)
}

main().catch(error => {
  fs.writeSync(2, error.stack + '\n')
  process.exit(1)
})

// The backlog between two Scuttlebutt peers (ssb-db2, ssb-ebt) on loopback; see bench_peers.py. Prints one JSON object.
'use strict'
const fs = require('fs')
const path = require('path')
const { promisify } = require('util')
const caps = require('ssb-caps')
const keys = require('ssb-keys')
const SecretStack = require('secret-stack')

const [posts, size, folder] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]]

function start (name) {
  return SecretStack({ appKey: caps.shs })
    .use(require('ssb-db2'))
    .use(require('ssb-db2/compat/ebt'))
    .use(require('ssb-ebt'))({
      caps,
      keys: keys.generate(),
      path: path.join(folder, name),
      connections: {
        incoming: { net: [{ scope: 'private', transform: 'shs', host: '127.0.0.1', port: freePort() }] },
        outgoing: { net: [{ transform: 'shs' }] }
      }
    })
}

function freePort () {
  return 10000 + Math.floor(Math.random() * 20000)
}

async function main () {
  const giver = start('giver')
  const taker = start('taker')
  const create = promisify(giver.db.create)
  for (let number = 0; number < posts; number++) {
    const content = { type: 'post', text: String(number).padEnd(size, 'x') }
    await create({ keys: giver.config.keys, content })
  }

  const started = process.hrtime.bigint()
  let read = 0
  taker.db.onMsgAdded(() => {
    if (++read < posts) return
    const seconds = Number(process.hrtime.bigint() - started) / 1e9
    fs.writeSync(1, JSON.stringify({ read, seconds }) + '\n')
    process.exit(0)
  })
  giver.ebt.request(giver.id, true)
  taker.ebt.request(giver.id, true)
  await promisify(taker.connect)(giver.getAddress('private'))
}

main().catch(error => {
  fs.writeSync(2, error.stack + '\n')
  process.exit(1)
})

// Verifies a signed identity assertion of authsvc, as an application does with the header X-Auth-Request-Jwt of each request. Node 18 or later, and
// nothing else:
//
//   node verify.mjs https://login.example.com https://app.example.com < header
//
// The arguments are public_url of the service and the application's own origin. It prints the claims, or says what is wrong and exits with 1.

import { createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'

const skew = 30 // seconds that the clocks may differ

export class Verifier {
  #keys = []
  #fetched = 0

  constructor(issuer, audience) {
    this.issuer = issuer // public_url
    this.audience = audience // our origin
  }

  // verify returns the claims of an assertion that is good: of our issuer, for us, and of now.
  async verify(text) {
    const parts = text.split('.')
    if (parts.length !== 3) throw new Error('no signed JWT')
    const [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')))
    if (header.alg !== 'ES256') throw new Error('signed with another algorithm than ES256')
    const key = await this.#key(header.kid)
    const signature = Buffer.from(parts[2], 'base64url')
    if (!verify('sha256', Buffer.from(parts[0] + '.' + parts[1]), { key, dsaEncoding: 'ieee-p1363' }, signature)) {
      throw new Error('the signature is wrong')
    }
    const now = Date.now() / 1000
    if (claims.iss !== this.issuer) throw new Error('of another issuer')
    if (claims.aud !== this.audience) throw new Error('for another application')
    if (!(now <= claims.exp + skew)) throw new Error('too old')
    if (!(now >= claims.iat - skew)) throw new Error('not of now; compare the clocks')
    return claims
  }

  // Keys change seldom: they are asked for when one is unknown, and then at most every ten seconds.
  async #key(id) {
    let found = this.#keys.find((key) => key.kid === id)
    if (!found && Date.now() - this.#fetched > 10_000) {
      this.#fetched = Date.now()
      const response = await fetch(this.issuer + '/jwks.json', { signal: AbortSignal.timeout(5000) })
      this.#keys = (await response.json()).keys
      found = this.#keys.find((key) => key.kid === id)
    }
    if (!found) throw new Error('signed with a key that is not published')
    return createPublicKey({ key: found, format: 'jwk' })
  }
}

const [issuer, audience] = process.argv.slice(2)
try {
  const verifier = new Verifier(issuer, audience)
  console.log(JSON.stringify(await verifier.verify(readFileSync(0, 'utf8').trim())))
} catch (error) {
  console.error('assertion: ' + error.message)
  process.exitCode = 1
}

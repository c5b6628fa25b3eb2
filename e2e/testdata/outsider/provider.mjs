// An OpenID provider: node-oidc-provider with its own pages for signing in, consent and signing out. Whoever signs in is the subject
// that they type. The one argument is JSON: clientID, clientSecret, redirectURI, signedOutURI, and conform, which keeps all claims of
// the profile out of the ID token. The issuer is written to stdout, in one line, once it listens.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const want = JSON.parse(process.argv[2]);
const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: want.clientID,
    client_secret: want.clientSecret,
    redirect_uris: [want.redirectURI],
    post_logout_redirect_uris: [want.signedOutURI],
  }],
  conformIdTokenClaims: want.conform,
  claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups'], email: ['email', 'email_verified'] },
  findAccount: (_, subject) => ({
    accountId: subject,
    claims: () => ({
      sub: subject,
      name: `${subject} of elsewhere`,
      preferred_username: subject,
      email: `${subject}@example.com`,
      email_verified: true,
      groups: ['staff', `team-${subject}`],
    }),
  }),
  pkce: { required: () => true },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  jwks: { keys: [generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })] },
});
provider.on('server_error', (_, error) => console.error(error));
server.on('request', provider.callback());
console.log(issuer);

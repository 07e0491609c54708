import { expect, test } from 'vitest';
import type { Field } from '../src/binary-http.ts';
import { checkResponse, passedFields } from '../src/http-rules.ts';
import { speaksForProxy } from '../src/spoken-fields.ts';

const SPEAKS = `
forwarded x-forwarded x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port x-forwarded-prefix x-forwarded-user x-forwarded-email
x-forwarded-client-cert x-forwarded-server x-forward-for forwarded-for via x-real-ip x-real-host true-client-ip cf-connecting-ip cf-access-jwt-assertion
x-client-ip client-ip x-cluster-client-ip x-envoy-external-address x-envoy-original-path fastly-client-ip wl-proxy-client-ip wl-proxy-ssl x-remote-ip
x-remote-addr remote-addr x-originating-ip x-azure-clientip x-azure-socketip x-proxyuser-ip x-host x-original-url x-original-host x-rewrite-url
x-accel-redirect x-sendfile x-http-host-override x-url-scheme x-scheme front-end-https x-http-method-override x-http-method x-method-override
http-method-override remote-user x-remote-user x-remote-group x-user x-user-id x-username x-user-email user x-email x-groups x-auth-request-user
x-auth-request-email x-auth-user x-auth-username x-authenticated-user x-authenticated-userid x-webauth-user x-proxy-user impersonate-user
impersonate-group x-ms-client-principal x-ms-client-principal-name x-amzn-oidc-data x-amzn-oidc-identity x-goog-authenticated-user-email
x-goog-iap-jwt-assertion x-pomerium-jwt-assertion x-vouch-user x-authentik-username oidc-claim-sub x-ssl-client-cn x-ssl-client-verify ssl-client-s-dn
ssl-client-cert x-client-cert client-cert client-cert-chain x-tls-client-cert x-client-dn x-client-verify x-arr-clientcert x-arr-ssl
http-x-forwarded-for x-ip x-remote-port x-sso-user x-current-user-id logon-user x-iisnode-auth-user x-krb-principal x-cert-subject x-client-host
shib-session-id shib-identity-provider eppn iv-user iv-user-l iv-groups iv-creds iv-remote-address sm-user sm-universalid sm-serversessionid osso-user-dn
oam-identity-domain x-endpoint-api-userinfo x-apigateway-api-userinfo x-userinfo x-consumer-id x-consumer-custom-id x-credential-identifier
x-anonymous-consumer x-rh-identity x-jwt-payload x-jwt-claim-sub x-jwt-assertion x-remote-extra-scopes x-middleware-subrequest
x-nf-client-connection-ip cloudfront-viewer-address cdn-src-ip x-custom-ip-authorization x-true-ip x-trusted-ip x-peer-addr x-peer-address x-ips
x-fwd-for cf-ipcountry x-appengine-country x-request-uri request-uri x-requested-host host-override x-override-url x-script-name script-name
x-waws-unencoded-url x-matched-path x-invoke-path x-now-route-matches x-https url-scheme fastly-ssl x-override-method x-request-method
x-rest-method x-http-verb x-tunnel-method x-upn x-dn x-remote-cn x-remote-roles x-on-behalf-of x-run-as x-scope-orgid x-spiffe-id x-mellon-name-id
x-casauth x-webseal ct-groups obsso am-fsso affiliation unscoped-affiliation entitlement persistent-id targeted-id subject-id pairwise-id memberof
ismemberof x-msisdn x-nokia-msisdn x-up-subno x-up-calling-line-id x-client-verified x-client-subject x-cert-dn
sallyport-assertion sallyport-user x-sallyport-assertion x-sallyport
`
  .trim()
  .split(/\s+/);
const PASSES = `
accept accept-encoding accept-language authorization cache-control content-type content-length content-disposition cookie date dnt etag if-match
if-none-match last-modified origin pragma priority range referer sec-ch-ua sec-ch-ua-mobile sec-fetch-site sec-websocket-protocol te user-agent
x-requested-with x-csrf-token x-xsrf-token x-api-key x-auth-token x-request-id x-correlation-id traceparent x-amz-date x-amz-content-sha256
x-ms-version x-ms-date x-client-version x-client-data x-grpc-web x-user-agent x-gitlab-token x-goog-api-key x-github-event idempotency-key depth
destination overwrite lock-token x-session-id grpc-timeout x-trace x-language x-smart x-jwt x-ivory x-portal x-tenant x-array x-protocol-version access-control-request-method
access-control-request-headers x-requested-by x-request-start x-account-id sec-gpc tus-resumable x-membership x-runner x-subtitle x-upload-offset
x-caller-id upload-length dav x-owa-canary soapaction x-http-attempts x-https-upgrade-seen
`
  .trim()
  .split(/\s+/);

test.each(SPEAKS)('%s speaks for a proxy, however it is spelled', (name) => {
  for (const one of [
    name,
    name.replaceAll('-', '_'),
    name.replaceAll('-', ''),
    name.replaceAll('-', '.'),
    name.toUpperCase(),
  ])
    expect(speaksForProxy(one), one).toBe(true);
});

test.each(PASSES)('%s is the device’s own word', (name) => {
  expect(speaksForProxy(name)).toBe(false);
});

test('a resource lets fields pass by name, but never what only the Proxy says', () => {
  const fields: Field[] = [
    'x-http-method',
    'x-user',
    'sallyport-assertion',
    'forwarded',
    'x-forwarded-for',
    'accept',
  ].map((name) => [name, '1']);
  const names = (passing?: readonly string[]): string[] => passedFields(fields, passing).map(([name]) => name);
  expect(names()).toEqual(['accept']);
  expect(names(['x-user'])).toEqual(['x-user', 'accept']);
  expect(names(fields.map(([name]) => name))).toEqual(['x-http-method', 'x-user', 'accept']);
});

test('what a backend says to the server in front of it does not reach the device, whatever is spelled how', () => {
  const names = [
    'sallyport-error',
    'sallyport-may-have-run',
    'x-sallyport-a',
    'x-accel-redirect',
    'x-litespeed-location',
    'x-sendfile',
    'keep-alive',
  ];
  const fields: Field[] = [...names, 'proxy-authenticate', 'proxy-connection', 'x_powered_by', 'x-msdavext_error'].map(
    (name) => [name, '1'],
  );
  expect(checkResponse({ status: 403, fields: [...fields, ['etag', '1']] })).toEqual([['etag', '1']]);
});

test('a response whose values could be read in two ways is refused, and the message says why', () => {
  expect(() => checkResponse({ status: 200, fields: [['x', 'a\u0001b']] })).toThrow('a byte that is not allowed');
});

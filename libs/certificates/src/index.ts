export {
  BACKDATE_MS,
  type Issuer,
  issueLeaf,
  KEY_ALGORITHM,
  newKeys,
  newSerialNumber,
  privateKeyPem,
} from './issue-leaf.ts';
export {
  type CertificateDemands,
  CertificateError,
  type CertificatePair,
  type CertificateTrouble,
  certificatesOf,
  hostsOf,
  judgeCertificate,
  judgeChain,
  type LoadedCertificate,
  onlyCertificates,
} from './judge-certificate.ts';
export { type CertificateLife, endWords, lifeOf } from './life.ts';
export { TLS_RULES, type TlsListener, tlsOptionsOf } from './tls-rules.ts';

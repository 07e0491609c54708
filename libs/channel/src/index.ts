export {
  type ActivationCode,
  deriveCodeKey,
  MAX_CODE_ID,
  normaliseTypable,
  parseActivationCode,
} from './activation-code.ts';
export {
  canonicalAuthority,
  findByAuthority,
  isAuthority,
  isWildcard,
  liesUnder,
  wildcardPart,
  withoutFinalDot,
} from './authority.ts';
export {
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeRequestHead,
  encodeResponse,
  encodeResponseHead,
  encodeVarint,
  type Field,
  type HeadLimits,
  HTTP_LIMITS,
  type RequestHead,
  type ResponseHead,
  WIDEST_HEAD,
} from './binary-http.ts';
export {
  concat,
  copyBytes,
  decodeText,
  decodeUint,
  EMPTY,
  encodeText,
  encodeUint,
  equalBytes,
  formatBase64Url,
  formatHex,
  parseBase64Url,
  parseHex,
  prefix8,
} from './bytes.ts';
export {
  CborFields,
  type CborInput,
  type CborMap,
  type CborValue,
  decodeCbor,
  decodeCborMap,
  encodeCbor,
  isCborMap,
} from './cbor.ts';
export {
  codeUnderWay,
  findHintCode,
  findSignedCode,
  HINT_CODES,
  type HintCode,
  isSignedCode,
  neverRan,
  SIGNED_CODES,
  type SignedCode,
} from './codes.ts';
export { type AppContext, contextToCbor, decodeContext, encodeContext, type Posture, parseContext } from './context.ts';
export {
  type AeadKey,
  type ChannelKey,
  type CodeKey,
  type CryptoProvider,
  KEM_CIPHERTEXT_BYTES,
  KEM_KEY_BYTES,
  KEM_SEED_BYTES,
  KEY_BYTES,
  type KemKeyPair,
  type Key,
  type KeyPair,
  keyOf,
  NONCE_BYTES,
  type PublicKey,
  publicKeyOf,
  type SecretKey,
  type SessionSecret,
  type SharedKey,
  type Suite,
  TAG_BYTES,
} from './crypto.ts';
export { ChannelError, type ChannelErrorCode } from './errors.ts';
export {
  type Challenge,
  DeviceEstablish,
  type DeviceEstablishOptions,
  SecurityEstablish,
  type SecurityEstablishOptions,
} from './establish.ts';
export {
  type Evidence,
  type EvidenceSubject,
  encodeEvidence,
  evidenceBinding,
  evidenceHash,
  findEvidence,
} from './evidence.ts';
export { decodeFrames, FLAG_FIN, FRAME_HEAD_BYTES, FRAME_TYPES, type Frame, writeFrame } from './frame.ts';
export { checkHeadSize } from './head-size.ts';
export {
  type BodyMode,
  type HttpDecoder,
  type MessageSink,
  requestDecoder,
  responseDecoder,
} from './http-decoder.ts';
export {
  checkRequest,
  checkResponse,
  checkTrailers,
  contentLength,
  passedFields,
  passedTrailers,
  type RequestRules,
} from './http-rules.ts';
export {
  type ChannelLimits,
  DEFAULT_LIMITS,
  MAX_SITE_MAP_BYTES,
  MAX_WINDOW,
  SMALL_FRAME_BYTES,
  TokenBucket,
} from './limits.ts';
export { type EnrolmentLink, formatLink, type LinkPin, parseLink } from './link.ts';
export {
  decodeHello,
  decodeHint,
  decodeHs1,
  decodePadded,
  decodeTyped,
  ENDPOINT_PATH,
  encodeHelloHead,
  encodeHint,
  encodePadded,
  encodeTyped,
  type Hello,
  type HelloHead,
  type Hint,
  type Hs1,
  MAX_MESSAGE_BYTES,
  MESSAGE_TYPES,
  messageType,
  SID_BYTES,
  SUBPROTOCOL,
  VERSION,
  verifyMac1,
} from './messages.ts';
export {
  DEFAULT_METHODS,
  faultOfMethod,
  isIdempotent,
  isSafe,
  mayHaveContent,
  normaliseMethod,
} from './methods.ts';
export { type ChannelHost, type ChannelLimit, type ChannelRole, Multiplexer } from './multiplexer.ts';
export {
  CipherState,
  type HandshakeOptions,
  NNpsk0,
  NoiseHandshake,
  type Pattern,
  type Token,
  type Transport,
  XKpsk3,
} from './noise.ts';
export { DeviceOpening, type DeviceOpeningOptions, ProxyOpening } from './opening.ts';
export { checkPath, type PathGrammar, pathOnly, pathUnder, withoutLookAlikes } from './path-grammar.ts';
export { MAX_RECORD_BYTES, MAX_RECORDS, REKEY_RECORDS, RecordLayer } from './record.ts';
export {
  MAX_ROUTES_BYTES,
  openRoutes,
  type Route,
  type Routes,
  type RoutesOwner,
  readRoutes,
  routesToCbor,
  sealRoutes,
} from './routes.ts';
export {
  deriveChannelKey,
  deriveEnrolledKey,
  deriveEstablishPsk,
  deriveHelloMac,
  deriveProofBinding,
  deriveRotatedKey,
  deriveSessionSecret,
  type EstablishOutcome,
  hkdfExpand,
  hkdfExtract,
  MAC_BYTES,
  type Role,
  verifyHelloMac,
} from './schedule.ts';
export {
  decodeSessionEnd,
  deriveEndKey,
  type EndKey,
  type EndType,
  encodeSessionEnd,
  endKeyOf,
  type SessionEnd,
  verifySessionEnd,
} from './session-end.ts';
export {
  ASK_NONCE_BYTES,
  decodeSessionAsk,
  decodeSessionTold,
  type EndCause,
  encodeSessionAsk,
  encodeSessionTold,
  isEndCause,
  type SessionAsk,
  type SessionTold,
  STANDINGS,
  type Standing,
  verifySessionMac,
} from './session-standing.ts';
export { isOwnField, speaksForProxy } from './spoken-fields.ts';
export { ChannelStream, type StreamOwner, type StreamSink } from './stream.ts';
export {
  DEFAULT_WS_MESSAGE_BYTES,
  decodeWsClose,
  encodeWsClose,
  encodeWsMessage,
  encodeWsPiece,
  encodeWsPieceHead,
  encodeWsPieces,
  formatWsClose,
  isWsCloseCode,
  MAX_WS_MESSAGE_BYTES,
  MAX_WS_PIECE_BYTES,
  MAX_WS_REASON_BYTES,
  WS_OPCODES,
  type WsClose,
  type WsMessage,
  WsMessageDecoder,
  type WsPiece,
  WsPieceDecoder,
} from './web-socket.ts';

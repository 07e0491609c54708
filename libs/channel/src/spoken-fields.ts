import { remembered } from './remembered.ts';

/**
 * Fields by which backends and frameworks believe a proxy in front of them: who asks, from where, with which certificate, for
 * which host, path or method. Families, not names: each backend has its own spelling. Read without hyphens and the like, because
 * CGI, WSGI and others write `-`, `_` and `.` as one.
 */
const FAMILIES = new RegExp(
  [
    // The one standard, and what came before it.
    'forwarded|^x?forward|^x?via$|^xproxy|^wlproxy|^xenvoy|^xcluster|^xtrustedproxy',
    // Where the request came from.
    'clientip|clientaddr|realip|^xreal|remoteip|remoteaddr|remotehost|remoteport|sourceip|origin(?:al|ating)?ip|userip|peerip',
    '^x(?:from|your|src|visitor|request|host|caller)?ip(?:s|addr(?:ess)?)?$|clienthost|connect(?:ing|ion)ip|externaladdress|^true(?:client|source)|^cf(?:connecting|access|ipcountry$|visitor$)|^xazure|^xappengine',
    '(?:socket|src|source|true|trusted|peer|viewer)(?:ip|addr(?:ess)?)$|viewercountry|ipauthorization$|^x?fwd|^xbluecoatvia',
    // What was asked for, and how.
    '^x?original|^x?rewrite|^xaccel|^xsendfile|^x?httphost|^xhost|^xservername|^xurl|^x?scheme|^xproto$|^xport$|^frontendhttps',
    '^x?override(?:url|uri|host|path|method)|^(?:x?host|xurl|xpath)override|^x?request(?:ed)?(?:uri|host)$|^x?scriptname$|^xwaws|^x(?:matched|invoke)path$|^xnowroute',
    '^x?https(?:only)?$|^x?urlscheme$|^(?:xtls|fastlyssl)$',
    'methodoverride|^x?http(?:method|verb)|^xmethod|^xverb$|^x?(?:rest|real|tunnel|request)(?:method|verb)',
    // Who asks.
    '^x?user(?!agent)|user(?:name|id|email|groups?|roles?)?$|logonuser|^xiisnode|remoteuser|remotename|remotegroup|remoteemail|authrequest|authenticated|webauth|proxyuser|loginuser',
    '^x?auth(?:user|email|mail|name|group|role|subject|sub$|principal|id$)|impersonate|principal|^xmstokenaad',
    '^x(?:email|mail|groups?|roles?|subject|identity|login|loginid|upn|uid|dn|cn|sub|nameid|samaccountname|msisdn)$',
    '^x?(?:remote(?:cn|dn|roles?|fullname|displayname)|onbehalfof|runas|actas)$|^xscopeorgid$|spiffe',
    '^x?(?:oidc|openid)claim|^xamznoidc|^xgoog(?:authenticated|iap)|^x?(?:pomerium|vouch|authentik|authelia|tailscale|teleport)',
    // What single sign-on modules and API gateways say.
    '^x?(?:shib|saml|iv(?:user|groups?|creds?|remote)|sm(?:user|auth|session|server|universal)|osso|oam|mellon|cas(?:auth|user)|lemonldap|webseal|ct(?:remote|groups)|amfsso|ameai)|^obsso|^eppn$|^x?userdn|userinfo$',
    // Attributes as Shibboleth writes them, and what mobile networks say of whose phone asks.
    '^x?(?:(?:unscoped|primary|scoped)?affiliation|entitlement|persistentid|targetedid|subjectid|pairwiseid|(?:is)?memberof)$|^x?(?:nokia)?msisdn|^xup(?:subno|callinglineid)',
    '^x?(?:consumer|credential(?:identifier|username)|anonymousconsumer)|^x?rhidentity|^x?jwt(?:claim|payload|assertion|sub)|^x?remoteextra|^xmiddleware',
    // With which certificate.
    '^x?ssl|^x?tls(?:client|cert|peer)|(?:ssl|tls)client|client(?:ssl|tls|cert|verif|subject$|s?dn|cn$|san$)|(?:ssl|tls)cert|mtls|peercert|^x?cert(?:$|subject|issuer|serial|dn$|cn$|san$)|^xarr(?:ssl|client)',
  ].join('|'),
);
/** What only the Proxy says to a backend; no setting opens these. */
const OWN = /^x?sallyport|^forwarded$|^xforwarded(?:for|host|proto)$/;
/** What a backend may say to nobody but the server in front of it. */
const TO_THE_PROXY = /^x?sallyport|^xaccel|^xsendfile|^xlighttpdsend|^xreproxyurl|^xlitespeedlocation/;

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}

/** True for a field that only the Proxy sets: it never passes, whatever a resource says. */
export const isOwnField: (name: string) => boolean = remembered((name) => OWN.test(plain(name)));

/** True for a field of a request by which a backend would take the device for the proxy in front of it. */
export const speaksForProxy: (name: string) => boolean = remembered(
  (name) => isOwnField(name) || FAMILIES.test(plain(name)),
);

/** True for a field of a response that speaks to the proxy, not to the device. */
export const speaksToProxy: (name: string) => boolean = remembered((name) => TO_THE_PROXY.test(plain(name)));

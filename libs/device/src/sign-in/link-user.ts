import { parseLink } from '@sallyport/channel';

/**
 * Whom an enrolment link says that it is for; undefined when it does not. To be shown before anybody types a password. Nobody
 * vouches for it: after the enrolment `device.user` says it as Security does. @throws ChannelError ERR_CHANNEL_LINK
 */
export function readLinkUser(linkText: string): string | undefined {
  return parseLink(linkText).user;
}

/** Where each site sees the other one on this machine: at the other end of the line. At home it is 127.0.0.1. */
export const ACROSS = '127.0.0.2';
/** The name of the main site's servers, for both sites. */
export const MAIN_NAME = 'localhost';

export { OPERATIONS } from './all.ts';

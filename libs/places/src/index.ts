export { BusyError, type PlaceLimits, Places } from './places.ts';

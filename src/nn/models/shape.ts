/** What a network is made for. */
export interface ModelShape {
  channels: number;
  height: number;
  width: number;
  /** Or what else there is a number, or a map, for: joints. */
  classes: number;
}

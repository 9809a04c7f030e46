/** What a network is made for. */
export interface ModelShape {
  channels: number;
  height: number;
  width: number;
  classes: number;
}

import { UserError } from "../common/errors.ts";

/**
 * The decoder of pictures, loaded when the first one is decoded. In a file of its own: its types need those of Node, which
 * a user's project may lack, so no public type may lead here.
 * @throws UserError where it is not installed for this platform
 */
export async function loadSharp(): Promise<typeof import("sharp")> {
  try {
    return await import("sharp");
  } catch (error) {
    throw new UserError(
      `pictures cannot be decoded because the package sharp does not load (${(error as Error).message.split("\n")[0]}); install it for this platform: npm install --include=optional sharp`,
    );
  }
}

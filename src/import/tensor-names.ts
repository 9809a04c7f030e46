// What the name of a stored tensor tells: whether somebody gave it, and whether it is one of a parameter.

/** Names that exporters and optimizers make up, for constants and for what they have computed. */
const invented =
  /^(onnx::\w+|val_\d+|\d+|\/.*|\w*lifted_tensor\w*|_tensor_constant\d+|const_fold.*|.*_output_\d+|.*[Cc]onstant.*|.*const[_.:]?\d*)$/;

/** The last part of a name that parameters have, wherever it is from. */
const ofParameters =
  /^(w|b|g|v|weights?|bias(es)?|kernel|gamma|beta|alpha|theta|slope|params?|parameters?|gain|temperature|tau|logit_scale|logit_bias|log_temperature|\w+_(weight|bias|gamma|beta|token|embed|embedding|scale_param))_?\d*$/i;

/** The last part of a dotted name that no parameter has. */
const ofBuffers = /^(eps|epsilon|const(ant)?|min|max|mean|std|var|variance|limit|num_batches_tracked)_?\d*$/i;

/** Whether the name is made up: it says nothing. */
export function isInvented(name: string): boolean {
  return invented.test(name);
}

/** Whether the name says that it is a parameter's: `logit_scale`, `conv1.weight`. */
export function isParameterName(name: string): boolean {
  return !invented.test(name) && ofParameters.test(lastPart(name));
}

/** Whether the name is one that PyTorch's modules have: `attn.gate`. Parameters and a few buffers are called so. */
export function isModuleName(name: string): boolean {
  if (invented.test(name) || !/^[A-Za-z_][\w-]*(\.[\w-]+)+$/.test(name)) return false;
  return !ofBuffers.test(lastPart(name)) && !/^\d+$/.test(lastPart(name));
}

/** Whether a tensor is called a running statistic. */
export function isStatisticName(name: string): boolean {
  return /^(running|moving)_(mean|var|variance)$/i.test(lastPart(name));
}

function lastPart(name: string): string {
  return name.split(/[./:]/).at(-1) ?? "";
}

/** Whether a tensor is called a mask. A mask's token, which is learned, is none. */
export function isMaskName(name: string): boolean {
  return /mask/i.test(name) && !/token|weight|bias|embed/i.test(name);
}

/** What the tags and the description of a TIFF say of the size of its pixels: `helpers/pictures/scale_tags.py`. */

/**
 * List what a TIFF says of the sides of a pixel.
 * @param {{description: string|undefined, unit: number|undefined, densities: (ArrayLike<number>|undefined)[]}} tags its
 *   ImageDescription, ResolutionUnit, and XResolution and YResolution as fractions
 * @param {{units: Object<string, number>, resolution_units: Object<string, number>}} model micrometres of each unit
 * @returns {number[][]} micrometres across and down, NaN where nothing fitting stands; the best source first
 */
export function tiffScales({ description: ended = "", unit = 2, densities }, { units, resolution_units }) {
  const told = [], description = ended.replace(/\0+$/, "");
  const aperio = /\|\s*MPP\s*=\s*([^|\s]+)/.exec(description);
  if (aperio) told.push([Number(aperio[1]), Number(aperio[1])]);
  if (/OME>\s*$/.test(description)) told.push(omeScale(description, units));
  const sides = (length) => densities.map((density) => (length * density?.[1]) / density?.[0]);
  if (description.startsWith("ImageJ=")) told.push(sides(units[/^unit=(.*)$/m.exec(description)?.[1]] ?? NaN));
  return [...told, sides(resolution_units[unit] ?? NaN)];
}

/** Read PhysicalSizeX and PhysicalSizeY of the first image of OME-XML; one side stands for both where it is alone. */
function omeScale(xml, units) {
  const [, attributes] = /<(?:[\w.-]+:)?Pixels\s([^>]*)>/.exec(xml) ?? [null, ""];
  const value = (name) => new RegExp(`(?:^|\\s)${name}\\s*=\\s*(["'])(.*?)\\1`).exec(attributes)?.[2];
  const [x, y] = ["X", "Y"].map((axis) => Number(value(`PhysicalSize${axis}`)) * (units[value(`PhysicalSize${axis}Unit`) ?? "µm"] ?? NaN));
  return [x, y].map((side, at) => (Number.isNaN(side) ? [y, x][at] : side));
}

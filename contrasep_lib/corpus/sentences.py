"""What the voices of the embedded corpus say: 318 short English sentences, written for this project.

Numbers are spelt out, so that upper case and no punctuation make a transcript.
"""

SENTENCES = tuple(
    """
The ferry to the island leaves at a quarter past six.
Did anyone feed the goldfish while we were in Lisbon?
Forty two boxes of oranges arrived this morning.
My neighbour repairs old radios in his garage.
Please put the heavy suitcase beside the door.
She painted the kitchen ceiling a pale shade of yellow.
Why is the basement always colder than the attic?
A fox crossed the railway tracks just before dawn.
Nobody expected the choir to sing in Icelandic.
Turn left at the bakery and walk three blocks north.
The judge asked for silence, but the crowd kept murmuring.
How many spoons of sugar do you take?
Oliver bought a second hand violin for ninety dollars.
Thick fog covered the valley until noon.
We should measure the window before ordering the curtains.
The robot vacuum got stuck under the sofa again.
Is this the right platform for the train to Vienna?
Her grandfather grew prize winning leeks in Yorkshire.
Seven thousand people watched the match in the rain.
Could you lend me a sharp pencil?
The village clock has been wrong since nineteen eighty five.
Fresh basil makes an ordinary tomato taste remarkable.
I lost my glove somewhere between the bank and the museum.
Those mushrooms look poisonous to me.
When does the pharmacy on Maple Street open?
The plumber charged us for two hours of work.
Zebras were grazing on the far side of the river.
He whistled a cheerful tune while sharpening the axe.
Not every question deserves a long answer.
The kettle boils faster than the microwave.
Maria translated the letter from Portuguese in an hour.
Have you ever tasted roasted chestnuts?
The bridge was closed because of high winds.
A small owl lives in the hollow oak behind our school.
Bring an umbrella, a towel, and a change of shoes.
The average temperature in May was sixteen degrees.
Who left the garden gate open last night?
Thirteen sailors signed the captain's petition.
My phone slipped out of my pocket and into the soup.
They are planting cherry trees along the avenue.
The orchestra rehearses every Thursday at eight.
Could the gray cat belong to Mrs. Hoffman?
The surgeon washed her hands twice.
Our budget was cut by eleven percent this year.
The glacier has moved forty metres since last autumn.
Sit down, catch your breath, and tell me everything.
Where can I buy stamps around here?
The jeweller polished each ring with a soft cloth.
Vincent always orders the vegetable curry.
Loud thunder woke the twins at half past two.
There is a tiny crack in the blue vase.
What would you do with an extra hour each day?
The librarian whispered that the archive was upstairs.
Eighty percent of the voters stayed at home.
This jacket is too thin for a winter in Helsinki.
The mayor opened the new swimming pool on Friday.
Do penguins sleep standing up?
The carpenter chose walnut for the drawers.
Joyce found an ancient coin while digging potatoes.
The last bus was full, so we walked.
Every shelf in the shop was covered with dust.
Please reserve a table for nine near the fireplace.
Why did the engineers change the shape of the wing?
The vet gave our puppy a biscuit after the injection.
Charlie spilled coffee on the contract.
The moon rose huge and orange above the harbour.
Are you sure that this ladder is safe?
They measured the depth of the lake with a rope.
A hundred and six candles stood on the altar.
Her handwriting is almost impossible to read.
The thief escaped through a narrow window.
Should we take the stairs or wait for the lift?
The chef seasons the broth with ginger and lime.
Pete's cousin drives a snow plough in Manitoba.
The museum keeps its best paintings in the cellar.
Yes, the yellow jersey belongs to the leader.
It rained on the fourth, the fifth and the sixth.
Who taught you to juggle five balls?
The mechanic listened carefully to the engine.
Georgia mailed the parcel without a return address.
Our flight to Nairobi was delayed by fog.
The hedgehog curled up under a pile of leaves.
Which of these keys fits the garage?
The professor lectures on volcanoes and earthquakes.
A gentle breeze moved the paper lanterns.
Please speak slowly, the line is very bad.
They sold twenty six tickets in half an hour.
The baby laughed whenever the curtain moved.
How far is the lighthouse from the campsite?
The sculptor needs three tons of white marble.
Wash the spinach thoroughly before you chop it.
Ruth keeps bees on the roof of her office.
The elevator smelled of fresh paint and rubber.
Was the treasure ever found?
The poet lived above a noisy butcher's shop.
Nine out of ten samples were clean.
I would rather cycle than sit in traffic.
The wizard costume is in the cupboard upstairs.
Can we postpone the meeting until Wednesday?
Dry leaves crunched under our boots.
The senator refused to answer the journalist.
Isabel swims a mile before breakfast.
The recipe calls for a pinch of nutmeg.
Why are there feathers all over the carpet?
The concert hall holds two thousand listeners.
Ask the porter to carry the trunk.
The volcano had been quiet for three centuries.
My sister collects postcards of bridges.
Have they decided on a name for the boat?
The dentist is on holiday until the twenty first.
A rusty bicycle leaned against the fence.
The children built a dam across the stream.
We need fifteen more chairs in the lecture room.
Did Thomas remember to lock the shed?
The quick decision saved the whole crew.
Rice, lentils, and onions cost very little.
The spy hid the microfilm inside a loaf of bread.
Each lesson begins with a short song.
What time is sunset in Cairo today?
The lawyer read the will in a flat voice.
A bright comet was visible for a week.
He owes me eighteen euros and an apology.
The path climbs steeply through a beech forest.
Is there any marmalade left?
The parrot imitates the telephone perfectly.
Judy's brother joined the navy at seventeen.
The bakery runs out of rye bread by ten.
Some fish can breathe air for several hours.
The old theatre will become a hospital.
Would you like the aisle seat or the window?
The pilot announced a smooth landing.
Rough wool always makes my neck itch.
Twelve geese flew over the frozen marsh.
The treaty was signed in a railway carriage.
Pass me the scissors and the blue thread.
Why do onions make us cry?
Heather planted tulips, daffodils, and a lemon tree.
The invoice shows a total of four hundred and nine pounds.
The goalkeeper jumped to the wrong side.
Thursday's soup is always made from Wednesday's vegetables.
Were you born in this town?
The river changed its course after the flood.
A nurse checks the thermometer every hour.
The museum guide spoke five languages.
That joke was funny the first time.
Fold the paper twice and write your name inside.
How old is the oldest tree in this park?
The miners went down at five each morning.
Smoke from the chimney drifted towards the church.
Sophie wrote a thesis about medieval cheese.
We watched the eclipse through dark glass.
The printer is out of ink once more.
Who is the woman with the green scarf?
The storm tore two tiles off the roof.
There were thirty three steps to the tower room.
The gardener trims the hedge into the shape of a whale.
Don't touch the stove, it is still hot.
Have you read the instructions?
The bus driver knew every passenger by name.
An avalanche blocked the road to the ski resort.
George counts his sheep twice a day.
The tailor shortened both sleeves by an inch.
Where were the missing files in the end?
The beach was empty except for two joggers.
Vanilla comes from the pod of an orchid.
The auction began at noon precisely.
They rode camels from the oasis to the coast.
Can a spider walk on water?
The water in the harbour tasted of oil.
Six of the nine judges agreed.
She plays chess by post with a friend in Chile.
The foundation of the house is sinking slowly.
Let me know as soon as the parcel arrives.
Why was the referee so angry?
The shepherd whistled and the dog lay down.
Our hotel overlooks the fish market.
Zinc and copper together make brass.
The cake needs another twenty minutes.
Walter forgot his password for the third time.
Is the museum free on Sundays?
A heron stood motionless in the reeds.
The prince preferred turnips to truffles.
The flight attendant poured the juice without spilling a drop.
We met by chance at the airport in Oslo.
Half of the apples had worms.
Do you hear that strange buzzing?
The astronomer discovered a moon with an ocean.
Straw hats are cheap in this part of the country.
The chemist mixed a bitter syrup.
Nineteen students failed the geography exam.
The drummer broke a stick during the solo.
What a beautiful horse that is!
The tunnel under the bay is nine kilometres long.
She knitted a purple sweater for her nephew.
The council voted against the new motorway.
Could you describe the man with the briefcase?
The squirrel buried its nuts beneath the swing.
Cold soup is popular in the south of Spain.
The photograph was taken in eighteen sixty one.
I never understood the rules of cricket.
The firemen rescued a kitten and a canary.
May I borrow your dictionary?
The whole street smelled of jasmine.
Pirates once hid in these caves.
The cashier gave me the wrong change.
Arthur grows grapes on a south facing slope.
The noise stopped as suddenly as it began.
How did you manage to fix the projector?
The desert blooms for ten days each spring.
A bowl of cherries stood on the piano.
The company hired eighty new drivers.
Each of the sisters owns a third of the farm.
Will the shops be open on Easter Monday?
The cyclist wore bright orange gloves.
We heard wolves howling on the ridge.
The teacher drew a perfect circle by hand.
Nothing grows under those pine trees.
Beth thinks the second chapter is too long.
Which way is the nearest petrol station?
The ice was thick enough for a truck.
Five young foxes played beside the quarry.
The secret ingredient is smoked paprika.
The tide comes in faster than you think.
Your appointment is on the thirtieth at four.
Why does this drawer never close?
The actor forgot his lines and began to dance.
Fishermen mend their nets in the afternoon.
The lamp flickered and went out.
Dana's theory explains most of the data.
A ship from Rotterdam brought the pianos.
Has the doctor called back yet?
The waiter dropped a tray of glasses.
They dug the canal in less than four years.
The statue lost its nose in a hailstorm.
The youngest player scored both goals.
Grandma hides her money in a biscuit tin.
Would it be cheaper to go by coach?
The spring water is cold and tastes of iron.
Two zebras and an ostrich escaped from the zoo.
The trumpet sounds too loud in this small room.
Mix the flour with warm milk and yeast.
The witness changed her story several times.
What is the capital of Mongolia?
Dust from the Sahara coloured the sky red.
The accountant checks every figure three times.
Jasper's boat is called the Silver Herring.
It took us a decade to restore this mill.
Are the batteries included?
The mountain hut has room for sixteen guests.
A rainbow stretched over the car park.
The editor cut the final paragraph.
My knees ache whenever the weather changes.
The glass blower shaped a swan in a minute.
Did you notice the hole in the fence?
The soup was salty, but the bread was delicious.
The satellite circles the earth every ninety minutes.
Two dozen tourists boarded the tiny boat.
The barber talks about nothing but football.
Philip ironed his shirt in the hotel lobby.
Where shall we hang the mirror?
The earthquake shook the jars off the shelf.
Almost everyone in the village is related.
The marathon starts outside the town hall.
Ginger tea helps against a sore throat.
Five minus seven is minus two.
Who ordered the salmon with fennel?
The thunder rolled far away over the plains.
The owner of the castle sells honey and wool.
She jumped over the puddle and missed.
The gate is guarded by a lazy bulldog.
Our teacher once sailed alone to New Zealand.
Have you packed the toothbrushes?
The rose bush needs more light.
Hundreds of swallows gathered on the wires.
The bell rings at seven, at noon, and at nine.
A crane lifted the statue onto the roof.
The report has two hundred and fifty pages.
Why not paint the shutters green?
Snow fell on the palm trees for the first time.
The violin maker waits ten years for the wood to dry.
Bread crumbs led us straight to the mouse.
The hikers shared their last bar of chocolate.
Victor's alarm clock crows like a rooster.
Does this road lead to the abbey?
The ink had faded to a light brown.
The oven door squeaks when it is hot.
Three buses came at once.
The heavy rain washed the chalk marks away.
Anna swapped her skateboard for a microscope.
When will the strawberries be ripe?
The whale surfaced a few yards from the boat.
The inspector examined the broken lock.
Cotton shirts dry quickly in the wind.
The museum shop sells copies of the crown.
They argued about the bill for half an hour.
Is your uncle still living in Quebec?
The young magician pulled a shoe from the hat.
A thousand tiny lights floated on the lake.
The floor of the hall is made of oak.
The coach praised the team for their patience.
Joan measured the wall with a piece of string.
What happened to the statue in the square?
The farmer's truck would not start this morning.
The choir needs another bass and two sopranos.
The new vaccine must be kept below zero.
The tower leans a little more each year.
Rub the stain with vinegar and salt.
Can you see the bear on the other shore?
The path was marked with small white stones.
We usually have breakfast on the balcony.
The shop around the corner repairs zippers.
Her voice was calm, but her hands were shaking.
Sixty four squares make a chess board.
Why is there a giraffe on the invitation?
The mist lifted and the peaks appeared.
The guests brought figs, olives, and a round cheese.
The tractor pulled the van out of the mud.
Everything in this drawer belongs to Eugene.
""".strip().split("\n")
)
